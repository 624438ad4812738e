"""The command for a project's first job, made from the actors that its workers announce."""

import shlex

import pytest

from bridge.dev.up.first_job import SAMPLE_ACTOR, how_to_send_one


def test_a_coding_session_is_started_over_http() -> None:
    text = how_to_send_one(["other", SAMPLE_ACTOR], "http://127.0.0.1:8080", "a-token")

    command = shlex.split(text.partition("\n\n")[2])
    assert command[:4] == ["curl", "-X", "POST", "http://127.0.0.1:8080/functions/v1/start-coding-session"]
    assert "Authorization: Bearer a-token" in command


def test_other_actors_are_named_and_the_first_one_gets_a_command() -> None:
    text = how_to_send_one([f"actor {n}" for n in range(12)], "http://127.0.0.1:8080", "")

    assert "actor 9, …. Send one" in text
    assert text.endswith("mobvibe jobs send --actor 'actor 0' --payload '{}'")


@pytest.mark.parametrize(("actors", "expected"), [([], "announce no actor"), (["\x1b[2J"], r"\x1b[2J")])
def test_no_actor_is_reported_and_control_codes_are_escaped(actors: list[str], expected: str) -> None:
    text = how_to_send_one(actors, "http://127.0.0.1:8080", "")

    assert expected in text
    assert "\x1b" not in text
