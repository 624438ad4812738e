"""A small fuzz run with the same inputs each time. `make fuzz` is the large one.

Rows of docs/reference/security.md: S13.
"""

from pathlib import Path

from tests.fuzz.run import Size, run
from tests.support.sized import by_size, sized

EACH = by_size(600, 2000)


@sized
def test_bad_inputs_get_their_answers(dsn: str, redis_url: str, tmp_path: Path) -> None:
    tallies = run(Size(seed=1, requests=EACH, messages=EACH), dsn, redis_url, tmp_path)

    for title, tally in tallies.items():
        assert tally.holds, tally.as_table(title)
    assert sum(tally.sent for tally in tallies.values()) >= 2 * EACH
