"""Messages between the daemon and its clients."""

import pytest

from actors.coding.sandbox.daemon import protocol
from actors.coding.sandbox.daemon.protocol import message, take_message


def test_messages_come_out_as_they_went_in_however_they_are_cut() -> None:
    sent = message({"op": "write", "path": "ü"}, b"\n\0body\n") + message({"op": "has"})
    received, taken = bytearray(), []

    for byte in sent:
        received.append(byte)
        if (one := take_message(received)) is not None:
            taken.append(one)

    assert taken == [({"op": "write", "path": "ü", "bytes": 7}, b"\n\0body\n"), ({"op": "has", "bytes": 0}, b"")]
    assert not received


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[]\n", b'{"bytes": -1}\n', b'{"bytes": 1000000000000}\n', b'{"bytes": "x"}\n', b"\xff\n"]
)
def test_what_is_no_message_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        take_message(bytearray(line))


def test_a_line_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINE_BYTES", 100)

    assert take_message(bytearray(b"x" * 99)) is None
    with pytest.raises(ValueError):
        take_message(bytearray(b"x" * 100))
