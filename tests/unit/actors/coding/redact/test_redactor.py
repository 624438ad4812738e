"""S18: no secret is seen, wherever the text is cut; nearly all the rest is seen at once."""

import base64
import json
import random
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest

from actors.coding.redact.known import KnownSecrets
from actors.coding.redact.redactor import MARK, Redactor, redacted
from tests.support.planted import Planted, planted

ROOT = Path(__file__).parents[5]
NONE = KnownSecrets([])
OWN = ["Gx7/kL+9 pQ@zW3!r", "plain-password-of-the-database"]
PIECE = 8  # characters of a secret that must not be seen


def shown(pieces: list[str], known: KnownSecrets = NONE) -> str:
    redactor = Redactor(known)
    return "".join([*(redactor.feed(piece) for piece in pieces), redactor.end()])


def seen(secret: str, output: str) -> list[str]:
    parts = (secret[start : start + PIECE] for start in range(len(secret) - PIECE + 1))
    return [part for part in parts if part in output]


def own_forms() -> list[Planted]:
    forms = []
    for secret in OWN:
        around = f"user:{secret}:more"
        forms += [
            Planted("plain", f"x {secret} y", secret),
            Planted("address", f"a={quote(secret, safe='')}&b", quote(secret, safe="")),
            Planted("json", json.dumps({"a": secret}), json.dumps(secret)[1:-1]),
            Planted("base64", f"x {base64.b64encode(secret.encode()).decode()} y", secret),
            Planted("in base64", f"x {base64.b64encode(around.encode()).decode()} y", secret),
        ]
    return forms


@pytest.mark.parametrize("seed", range(5))
def test_no_planted_secret_is_seen_wherever_the_text_is_cut(seed: int) -> None:
    secrets = planted(seed)
    assert len(secrets) * 5 > 100
    assert len({one.kind for one in secrets}) >= 12
    for kind, text, secret in secrets:
        for cut in range(len(text) + 1):
            output = shown([text[:cut], text[cut:]])
            assert not seen(secret, output), (kind, cut, output)
            assert MARK in output


def test_nor_when_each_character_comes_alone_nor_in_three_pieces() -> None:
    source = random.Random(1)
    for kind, text, secret in planted(7):
        assert not seen(secret, shown(list(text))), kind
        for _ in range(50):
            cuts = [0, *sorted(source.choices(range(len(text)), k=2)), len(text)]
            assert not seen(secret, shown([text[first:last] for first, last in pairwise(cuts)])), (kind, cuts)


def test_what_is_around_a_secret_is_seen() -> None:
    for kind, text, secret in planted(8):
        before, _, after = text.partition(secret)
        if kind != "private key":  # whose first and last lines go, too
            assert shown(list(text)) == before + MARK + after


def test_own_secrets_are_not_seen_in_any_form_wherever_the_text_is_cut() -> None:
    known = KnownSecrets(OWN)
    for kind, text, secret in own_forms():
        for cut in range(len(text) + 1):
            output = shown([text[:cut], text[cut:]], known)
            assert MARK in output, (kind, cut, output)
            assert not seen(secret, output), (kind, cut, output)
            if "base64" in kind:
                assert len(output) < len(text) - len(secret) + len(MARK), (kind, output)


def test_colours_in_the_middle_hide_no_secret_and_stay() -> None:
    token = "gh" + "p_" + "aB3" * 12
    text = f"\x1b[32mtoken \x1b[01;31m\x1b[K{token[:4]}\x1b[m\x1b[K{token[4:]}\x1b[0m end"

    for cut in range(len(text) + 1):
        assert shown([text[:cut], text[cut:]]) == (f"\x1b[32mtoken \x1b[01;31m\x1b[K{MARK}\x1b[m\x1b[K\x1b[0m end")


def test_a_sequence_is_never_shown_in_parts() -> None:
    redactor = Redactor(NONE)

    assert [redactor.feed(piece) for piece in ("a\x1b", "[0", "m", "b")] == ["a", "", "\x1b[0m", "b"]


@pytest.mark.parametrize(
    "text", ["Hello", "I", "The task is done: http://localhost/", "e.g. 1 - 2", "\x1b[31mred\x1b[0m"]
)
def test_ordinary_text_is_shown_at_once(text: str) -> None:
    assert Redactor(NONE).feed(text) == text


def test_only_an_end_that_may_become_a_secret_waits() -> None:
    redactor = Redactor(NONE)

    assert redactor.feed("a desk, then sk-an") == "a desk, then "
    assert redactor.feed("d so on") == "sk-and so on"
    assert redactor.feed(" at http://host:80") == " at http://host:"
    assert redactor.feed("80/") == "8080/"


def test_a_token_is_marked_as_soon_as_it_is_one() -> None:
    redactor = Redactor(NONE)

    assert redactor.feed("sk-" + "ant-api03-0123456789abcdef") == MARK
    assert redactor.feed("0123456789") == ""
    assert redactor.feed(" is it") == " is it"


def test_what_was_held_back_comes_at_the_end() -> None:
    assert shown(["is it gh"]) == "is it gh"
    assert shown(["a\x1b[3"]) == "a\x1b[3"


def test_a_cut_own_secret_is_marked_at_the_end() -> None:
    assert shown([f"key {OWN[1][:20]}"], KnownSecrets(OWN)) == f"key {MARK}"


def test_a_private_key_without_an_end_goes_on_until_what_cannot_be_one() -> None:
    body = "-----BEGIN " + "PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0B\n" * 4

    assert shown([*body, "(done)"]) == f"{MARK}(done)"


def test_names_without_a_value_are_no_secrets() -> None:
    text = (
        "set sk-ant-… or ghp_xxx; postgres://postgres:postgres@localhost/x, postgres://u:$PASSWORD@h, "
        "https://a.b:8080/c@d, -----BEGIN PRIVATE KEY-----, eyJhbGciOiJIUzI1NiJ9, "
        "Authorization: Bearer YOUR_TOKEN_OF_OURS"
    )

    assert shown([text]) == text


def test_the_files_of_this_repository_hold_no_false_secret() -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    files = [ROOT / name for name in names.split("\0") if name.endswith((".py", ".md", ".sql", ".js", ".html", ".yml"))]
    for path in files:
        text = path.read_text(encoding="utf-8")
        if "://" in text and path.is_relative_to(ROOT / "tests"):
            continue  # addresses with passwords, which are examples of secrets
        text = text.replace(MARK, "")  # as the code and the docs name it
        assert shown([text]) == text, path


def test_it_takes_linear_time() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "bridge").rglob("*.py")))
    texts = [source, "sk-", "eyJ-", "eyJ.eyJ", "://a:", "-----BEGIN PRIVATE KEY-----\n", "\x1b[", "a\n", OWN[1][:-1]]
    for text in texts:
        whole = (text * (1_000_000 // len(text) + 1))[:1_000_000]
        known = KnownSecrets(OWN)
        started = time.process_time()
        Redactor(known).feed(whole)
        assert time.process_time() - started < 1, text[:20]


def test_a_value_of_json_is_redacted_inside() -> None:
    token = "np" + "m_" + "a1" * 18

    assert redacted({"a": [f"x {token}", 1, None, True], "b": {"c": token}}, NONE) == {
        "a": [f"x {MARK}", 1, None, True],
        "b": {"c": MARK},
    }
