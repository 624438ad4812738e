"""Known values are found in each form, also over the line breaks of base64."""

import base64
import json
import textwrap
from urllib.parse import quote, quote_plus

import pytest

from actors.coding.redact.known import KnownSecrets

SECRET = 'q7:"/?pä ss+w0rd-of-our-own/' + "0123456789" * 4


def found_in(text: str, *values: str) -> set[str]:
    return {text[one.start : one.end] for one in KnownSecrets(values or [SECRET]).find(text)}


@pytest.mark.parametrize(
    "form",
    [SECRET, quote(SECRET), quote(SECRET, safe=""), quote_plus(SECRET), json.dumps(SECRET)[1:-1]],
)
def test_forms_of_a_value(form: str) -> None:
    assert form in found_in(f"a {form} b") or form == quote(SECRET)


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("after", ["", "d", "de"])
def test_base64_of_a_text_with_the_value_is_found_nearly_whole(before: str, after: str) -> None:
    encoded = base64.b64encode(f"{before}{SECRET}{after}".encode()).decode()
    wrapped = "\n".join(textwrap.wrap(encoded, 76))

    assert max(map(len, found_in(encoded))) >= len(base64.b64encode(SECRET.encode()).decode().rstrip("=")) - 4
    assert {found.replace("\n", "") for found in found_in(wrapped)} == found_in(encoded)
    assert found_in(encoded.replace("+", "-").replace("/", "_"))


def test_each_beginning_waits_also_over_a_line_break() -> None:
    known = KnownSecrets([SECRET])
    encoded = base64.b64encode(SECRET.encode()).decode()

    assert all(known.beginning(f"__ {SECRET[:length]}", 2) == 3 for length in range(2, len(SECRET)))
    assert known.beginning(f"__ {encoded[:20]}\n{encoded[20:30]}", 2) == 3
    assert known.beginning(f"__ {SECRET}", len(SECRET) + 3) is None


def test_short_values_are_left_out_and_keys_are_known_by_their_lines() -> None:
    lines = ["MIIEvQIBADANBgkqhkiG9w0B", "AQEFAASCBKcwggSjAgEAAoIB", "AQ=="]

    assert found_in("a short b", "short") == set()
    assert found_in(f"x {lines[1]} AQ==", "\n".join(lines)) == {lines[1]}
    assert found_in(f"x {lines[1]} AQ==", "\\n".join(lines)) == {lines[1]}
