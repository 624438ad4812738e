"""The messages on the channel of freed slots, as they are written and read."""

import pytest

from bridge.transport.freed import FreedSlots, HandedOver, parse

SETTLED = FreedSlots({"coding": (2, 7.5), "reports": (1, 3)}, ["coding", "reports"])
HANDED = HandedOver({"coding": 3}, by="host:17")


def test_the_text_form_is_unchanged_for_other_versions() -> None:
    settled = '{"settled": {"coding": [2, 7.5], "reports": [1, 3]}, "queues": ["coding", "reports"]}'
    assert SETTLED.to_json() == settled
    assert FreedSlots({}, []).to_json() == '{"settled": {}, "queues": []}'
    assert HANDED.to_json() == '{"handed": {"coding": 3}, "by": "host:17"}'


@pytest.mark.parametrize("message", [SETTLED, HANDED, FreedSlots({}, []), FreedSlots({}, ["coding"])])
def test_a_message_is_read_as_it_was_written(message: FreedSlots | HandedOver) -> None:
    assert parse(message.to_json()) == message


def test_jobs_are_counted_over_all_queues() -> None:
    assert SETTLED.jobs == 3


@pytest.mark.parametrize(
    "text",
    [
        None, "", "{", "7", "[]", "[1]", "{}", "[" * 9999, "\ufeff{}",
        '{"settled": {}}', '{"queues": ["coding"]}', '{"settled": {}, "queues": 7}', '{"settled": 1, "queues": []}',
        '{"settled": {"coding": 1}, "queues": []}', '{"settled": {"coding": ["x", 1]}, "queues": []}',
        '{"settled": {"coding": [-9, 1]}, "queues": []}', '{"settled": {"coding": [1e300, 1]}, "queues": []}',
        '{"settled": {"coding": [1000001, 1]}, "queues": []}',
        '{"settled": {"coding": [1, NaN]}, "queues": []}', '{"settled": {"coding": [1, Infinity]}, "queues": []}',
        '{"settled": {"coding": [1, -1]}, "queues": []}', '{"settled": {"coding": [1, 1e14]}, "queues": []}',
        f'{{"settled": {{"coding": [1{"0" * 400}, 1]}}, "queues": []}}',
        '{"handed": 7}', '{"handed": [7], "by": "x"}', '{"handed": {"coding": "x"}, "by": "x"}',
        '{"handed": {"coding": 3000000000}, "by": "x"}', '{"handed": {"coding": -3000000000}, "by": "x"}',
    ],
)  # fmt: skip
def test_a_malformed_message_is_read_as_none(text: str | None) -> None:
    assert parse(text) is None
