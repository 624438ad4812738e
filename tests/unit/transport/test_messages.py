"""Claims are sealed into a message and read back as (job, fence); every other message is refused."""

import json
from dataclasses import replace
from importlib import resources
from typing import Any
from uuid import UUID, uuid4

import fakeredis
import pytest

from bridge.errors import BadMessageError
from bridge.job import Claim
from bridge.transport.messages import JOBS_MOST, message_id, seal, suffix_of, unseal

CLAIM = Claim(UUID("123e4567-e89b-12d3-a456-426614174000"), 3, "coding", "run_coding_session")


NAME = f"{CLAIM.job_id}:3"


def sealed(**changes: Any) -> bytes:
    fields = json.loads(seal([CLAIM])[1])
    fields.update(changes)
    return json.dumps(fields).encode()


def claims(count: int) -> list[Claim]:
    return [Claim(uuid4(), n + 1, "coding", 'run "it"') for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, JOBS_MOST])
def test_sealed_claims_are_read_back(count: int) -> None:
    travelling = claims(count)
    name, text = seal(travelling)

    assert unseal(text.encode(), "coding", name) == (
        'run "it"',
        [(claim.job_id, claim.fence) for claim in travelling],
    )


def test_a_message_holds_job_ids_and_fences_and_nothing_else() -> None:
    fields = json.loads(seal([CLAIM])[1])

    assert fields["args"] == [str(CLAIM.job_id), 3]
    assert fields["kwargs"] == {}
    assert fields["options"] == {"redis_message_id": NAME}
    assert fields["message_id"] == NAME


def test_the_id_of_a_message_holds_the_number_of_its_jobs() -> None:
    travelling = claims(7)

    assert seal(travelling)[0] == f"{travelling[0].job_id}:1+6"


IDS = [
    (message_id(CLAIM), ""),
    (message_id(CLAIM, 1), "+1"),
    (message_id(CLAIM, JOBS_MOST - 1), f"+{JOBS_MOST - 1}"),
    (message_id(replace(CLAIM, isolated=True)), "!"),
    (message_id(replace(CLAIM, isolated=True, isolated_until_end=True)), "!!"),
]
NOT_OURS = ["", "x", str(CLAIM.job_id), f"{NAME}x", f"{NAME} ", f"x{NAME}", f"{NAME}:1", f"{NAME}+1+2", f"{NAME}\n"]


@pytest.mark.parametrize(("redis_id", "mark"), [*IDS, *[(one, None) for one in NOT_OURS]])
def test_the_redis_scripts_read_ids_as_they_are_made(redis_id: str, mark: str | None) -> None:
    head = resources.files("bridge.transport").joinpath("lua/_ours.lua").read_text("utf-8")
    expected = None if mark is None else mark.encode()
    with fakeredis.FakeRedis() as client:
        found = client.eval(f"{head} return mark_of(ARGV[1])", 0, redis_id)
        isolated = client.eval(f'{head} return string.byte(mark_of(ARGV[1]) or "") == ISOLATED', 0, redis_id)

    assert found == suffix_of(redis_id.encode()) == expected
    assert bool(isolated) is (mark is not None and mark.startswith("!"))


def test_more_jobs_than_fit_are_refused() -> None:
    name, text = seal(claims(JOBS_MOST + 1))

    with pytest.raises(BadMessageError) as raised:
        unseal(text.encode(), "coding", name)

    assert raised.value.reason == "no_claim"


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
        (sealed(args=[str(CLAIM.job_id), 2**63]), "no_claim"),
        (sealed(args=["not a job", 3]), "no_claim"),
        (sealed(kwargs=None), "no_claim"),
        (b'{"args":' + b"1" * 5000 + b"}", "undecodable"),
        (sealed(args=[7, 3]), "no_claim"),
        (sealed(kwargs={"command": "rm"}), "no_claim"),
        (sealed(args=[str(CLAIM.job_id), 3, str(CLAIM.job_id)]), "no_claim"),
        (sealed(args=[str(CLAIM.job_id), 4]), "wrong_id"),
        (sealed(args=[str(CLAIM.job_id), 3, str(CLAIM.job_id), 3]), "wrong_id"),
        (sealed(message_id="other"), "wrong_id"),
        (sealed(options={"redis_message_id": "other"}), "wrong_id"),
        (sealed(queue_name="other"), "wrong_queue"),
        *(
            (sealed(options={"redis_message_id": f"{CLAIM.job_id}:3", option: 1}), "strange_options")
            for option in ("eta", "pipe_target", "retries", "max_retries", "on_failure", "time_limit", "throws")
        ),
    ],
)
def test_a_message_that_seal_cannot_produce_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadMessageError) as raised:
        unseal(data, "coding", NAME)

    assert raised.value.reason == reason
