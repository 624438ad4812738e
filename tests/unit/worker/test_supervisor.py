"""How slots are spread over processes."""

import pytest

from bridge.worker.supervisor import shares


@pytest.mark.parametrize(
    ("slots", "processes", "expected"),
    [(1, 1, [1]), (8, 2, [4, 4]), (3, 2, [2, 1]), (7, 3, [3, 2, 2]), (1, 4, [1])],
)
def test_all_slots_are_spread_and_no_more(slots: int, processes: int, expected: list[int]) -> None:
    assert shares(slots, processes) == expected
