"""Random text, numbers and JSON values, with those that often cause errors."""

import json
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

NASTY = (
    "", " ", "\x00", "\x1b[31m", "\r\n", "\u202e", "\ufeff", "\ud800", "\U0001f4a9" * 9,
    "' OR 1=1 --", "../../etc/passwd",
    "%s%n%p", "${jndi:ldap://x}", "{{7*7}}", "<script>alert(1)</script>", "null", "NaN", "true", "0x10", "1e999", "-0",
    "a" * 300, "Ω≈ç√∫", "\u0000" * 3, "\\u0000", "//", "__proto__", "x" * 70_000,
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, 2**64, 10**30, 1.5, -0.0, 1e308, float("inf"), float("nan"))


def any_uuid(dice: random.Random) -> UUID:
    return UUID(int=dice.getrandbits(128), version=4)


def any_value(dice: random.Random, depth: int = 0) -> Any:
    """Any JSON value, and NaN and Infinity, which Python writes although JSON has no such values."""
    roll = dice.randrange(8 if depth < 3 else 5)
    if roll < 2:
        return dice.choice(NASTY)
    if roll < 4:
        return dice.choice(NUMBERS)
    if roll == 4:
        return dice.choice((None, True, False))
    if roll == 5:
        return str(any_uuid(dice))
    if roll == 6:
        return [any_value(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {dice.choice(NASTY)[:50]: any_value(dice, depth + 1) for _ in range(dice.randrange(4))}


def any_bytes(dice: random.Random, most: int = 200) -> bytes:
    return dice.randbytes(dice.randrange(most))


def not_json(dice: random.Random, good: bytes) -> bytes:
    """Bytes that no strict JSON reader accepts as an object, made from a valid object or at random."""
    makers: tuple[Callable[[], bytes], ...] = (
        lambda: b"",
        lambda: b"\xff" + any_bytes(dice),
        lambda: good[: dice.randrange(1, len(good))],
        lambda: good + dice.choice((b"}", b"\x00", b",", good)),
        lambda: b"\xef\xbb\xbf" + good,
        lambda: good.decode().encode(dice.choice(("utf-16", "utf-32"))),
        lambda: b"[" * dice.choice((100, 20_000, 60_000)),
        lambda: b'{"a":' * 10_000,
        lambda: b"\x80\x04\x95pickle",
        lambda: good.replace(b'"', b"'"),
        lambda: b"9" * 5_000,
    )
    return dice.choice(makers)()


def flipped(dice: random.Random, good: bytes) -> bytes:
    """The same bytes with some of them changed, dropped, doubled or moved."""
    data = bytearray(good)
    for _ in range(dice.choice((1, 1, 1, 2, 5, 20))):
        at = dice.randrange(len(data)) if data else 0
        match dice.randrange(5):
            case 0 if data:
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                del data[at : at + dice.randrange(1, 9)]
            case 2:
                data[at:at] = data[at : at + dice.randrange(1, 9)]
            case 3:
                data[at:at] = any_bytes(dice, 9)
            case _:
                data[at : at + 1] = dice.choice((b'"', b"{", b"}", b"[", b"]", b":", b",", b"\\", b"0", b"null", b"-1"))
    return bytes(data)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
