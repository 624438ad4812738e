"""A wake-up may say what came, and may be anything."""

import pytest

from bridge.transport.wake_message import WakeMessage, parse


def test_what_is_written_is_read() -> None:
    message = WakeMessage("coding", -3, 7)

    assert parse(message.to_text()) == message


@pytest.mark.parametrize(
    ("text", "queue"),
    [("coding", "coding"), ("", None), (None, None), ("a\t1", "a"), ("a\tx\t1", "a"), ("\t\t\t", None),
     ("a\t1\t" + "9" * 5000, "a")],
)  # fmt: skip
def test_anything_else_is_the_name_of_a_queue(text: str | None, queue: str | None) -> None:
    assert parse(text) == WakeMessage(queue)
