"""A small fuzz run with the same inputs each time. `make fuzz` is the large one."""

from pathlib import Path

from tests.fuzz.run import Size, run


def test_bad_inputs_get_their_answers(dsn: str, redis_url: str, tmp_path: Path) -> None:
    tallies = run(Size(seed=1, requests=2000, messages=2000), dsn, redis_url, tmp_path)

    for title, tally in tallies.items():
        assert tally.holds, tally.as_table(title)
    assert sum(tally.sent for tally in tallies.values()) >= 4000
