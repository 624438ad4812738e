"""Claim → message → (job, fence), and the refusal of everything else."""

import json
from typing import Any
from uuid import UUID

import pytest

from bridge.envelope import read_claim, seal, unseal
from bridge.errors import BadMessageError
from bridge.job import Claim

CLAIM = Claim(UUID("123e4567-e89b-12d3-a456-426614174000"), 3, "coding", "run_coding_session")


def sealed(**changes: Any) -> bytes:
    fields = json.loads(seal(CLAIM).encode())
    fields.update(changes)
    return json.dumps(fields).encode()


def test_a_sealed_claim_comes_back_out() -> None:
    message = unseal(seal(CLAIM).encode(), "coding")

    assert read_claim(message) == (CLAIM.job_id, 3)
    assert (message.queue_name, message.actor_name) == ("coding", "run_coding_session")


def test_a_message_says_the_job_and_the_attempt_and_nothing_else() -> None:
    fields = json.loads(seal(CLAIM).encode())

    name = f"{CLAIM.job_id}:3"
    assert fields["args"] == [str(CLAIM.job_id), 3]
    assert fields["kwargs"] == {}
    assert fields["options"] == {"redis_message_id": name}
    assert fields["message_id"] == name


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "undecodable"),
        (b"\x80\x04pickle", "undecodable"),
        (b"null", "undecodable"),
        (b"[]", "undecodable"),
        (b"{}", "undecodable"),
        (b"[" * 100_000, "undecodable"),
        (sealed(unheard_of=1), "undecodable"),
        (sealed(options=[]), "malformed"),
        (sealed(actor_name=7), "malformed"),
        (sealed(message_id=None), "malformed"),
        (sealed(args=[]), "no_claim"),
        (sealed(args=[str(CLAIM.job_id)]), "no_claim"),
        (sealed(args=[str(CLAIM.job_id), "3"]), "no_claim"),
        (sealed(args=[str(CLAIM.job_id), True]), "no_claim"),
        (sealed(args=[str(CLAIM.job_id), 0]), "no_claim"),
        (sealed(args=["not a job", 3]), "no_claim"),
        (sealed(args=[7, 3]), "no_claim"),
        (sealed(kwargs={"command": "rm"}), "no_claim"),
        (sealed(args=[str(CLAIM.job_id), 4]), "wrong_id"),
        (sealed(message_id="other"), "wrong_id"),
        (sealed(options={"redis_message_id": "other"}), "wrong_id"),
        (sealed(queue_name="other"), "wrong_queue"),
        *(
            (sealed(options={"redis_message_id": f"{CLAIM.job_id}:3", option: 1}), "strange_options")
            for option in ("eta", "pipe_target", "retries", "max_retries", "on_failure", "time_limit", "throws")
        ),
    ],
)
def test_what_seal_cannot_make_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadMessageError) as raised:
        unseal(data, "coding")

    assert raised.value.reason == reason
