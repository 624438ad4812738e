"""Private keys are found from their first line to their last; other blocks are not."""

import pytest

from actors.coding.redact.private_keys import BEGINNING, private_keys_in

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"


def key(label: str, newline: str = "\n", headers: str = "") -> str:
    return f"-----BEGIN {label}-----{newline}{headers}{BODY}{newline}{BODY}{newline}-----END {label}-----"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\\n", "\\r\\n", "\n   "])
@pytest.mark.parametrize(
    "label", ["PRIVATE" + " KEY", "RSA PRIVATE" + " KEY", "OPENSSH PRIVATE" + " KEY", "PGP PRIVATE" + " KEY BLOCK"]
)
def test_a_key_is_found_whole(label: str, newline: str) -> None:
    text = f'"{key(label, newline)}" and so on'

    assert [(one.start, one.end) for one in private_keys_in(text)] == [(1, text.index('" and'))]


def test_each_of_two_keys_is_found_and_what_is_between_is_not() -> None:
    first, second = key("PRIVATE" + " KEY"), key("EC PRIVATE" + " KEY", headers="Proc-Type: 4,ENCRYPTED\n\n")
    found = private_keys_in(f"{first} and {second}")

    assert [(one.start, one.end) for one in found] == [(0, len(first)), (len(first) + 5, len(first) + 5 + len(second))]


@pytest.mark.parametrize("label", ["CERTIFICATE", "PUBLIC KEY", "RSA PUBLIC KEY"])
def test_what_is_no_private_key_is_not_found(label: str) -> None:
    assert not list(private_keys_in(key(label)))
    assert BEGINNING.place(key(label)[:60], 0) is None


def test_each_beginning_of_a_key_waits() -> None:
    first = f"-----BEGIN {'EC PRIVATE' + ' KEY'}-----\n{BODY[:18]}"

    assert all(BEGINNING.place(f"a {first[:length]}", 0) == 2 for length in range(1, len(first)))
