"""Each hop of the bridge has a link and a loop of its own."""

import pytest

from bridge.dispatch.running import running
from bridge.postgres.link import Link


class Counting:
    """A hop that queries the schema version, and fails if the test wants it to."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.fails = False
        self.was_open: list[bool] = []

    def step(self) -> float:
        self.was_open.append(self._link.is_open)
        self._link.call("mobvibe_schema_version")
        if self.fails:
            raise RuntimeError("no")
        return 7.0


def test_a_hop_keeps_its_link_between_steps(dsn: str) -> None:
    one = running("part", dsn, Counting)

    assert [one.loop.run_once() for _ in range(2)] == [7.0, 7.0]

    assert one.hop.was_open == [False, True]
    one.link.close()


@pytest.mark.parametrize("fails", [False, True])
def test_a_hop_that_rests_for_long_closes_its_link(dsn: str, fails: bool) -> None:
    one = running("part", dsn, Counting, keeps_link=False)
    one.hop.fails = fails

    one.loop.run_once()

    assert one.hop.was_open == [False]
    assert not one.link.is_open
