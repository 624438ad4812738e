"""Redis messages that no bridge wrote, each with what must happen to it."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from uuid import UUID

from bridge.job import Claim
from bridge.transport.messages import JOBS_MOST, seal
from tests.fuzz.bad_values import NASTY, any_bytes, any_uuid, any_value, as_json, flipped, not_json

QUEUE, ACTOR = "fuzz", "write_down"
OPTIONS = (
    "pipe_target", "pipe_ignore", "retries", "eta", "max_retries", "on_retry_exhausted", "on_success", "on_failure",
    "time_limit",
    "max_age", "delay", "throws", "min_backoff", "traceback", "requeue_timestamp", "broker_priority",
    "group_callback_uuid",
    "group_callbacks", "store_results", "notify_shutdown", "priority", "takes_job", "",
)  # fmt: skip
_EARLIER = 500


class Fate(Enum):
    """What must happen to a message."""

    ASIDE = "put aside"  # dead-lettered, once
    LEFT = "left alone"  # its id is not one of ours, so it may be another application's message
    DROPPED = "dropped"  # well-formed, but it names no attempt that may run
    EITHER = "either"


# The form of a bridge's message ids; see bridge/transport/lua/_ours.lua.
_OURS = re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}:[0-9]+([+!]?[0-9!]*)")


@dataclass(frozen=True)
class Junk:
    """`data` None: an id without a payload."""

    kind: str
    redis_id: bytes
    data: bytes | None
    fate: Fate


class JunkSource:
    """Makes junk, also from real messages of a bridge: late, changed, or under another id."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.real: list[tuple[bytes, bytes]] = []
        self._number = 0
        self._makers: tuple[tuple[int, Callable[[], Junk]], ...] = (
            (56, self._not_json), (32, self._no_message), (48, self._wrong_type), (56, self._bad_claims),
            (48, self._options), (32, self._wrong_id), (32, self._unknown_actor), (20, self._wrong_queue),
            (16, self._newer), (32, self._nobodys_job), (20, self._other_fence), (12, self._no_payload),
            (48, self._flipped), (20, self._late), (12, self._other_actor), (16, self._odd_id), (1, self._huge),
        )  # fmt: skip

    def saw(self, messages: list[tuple[bytes, bytes]]) -> None:
        """Keep the latest of these real messages."""
        self.real = [*self.real, *messages][-_EARLIER:]

    def next(self) -> Junk:
        weights, makers = zip(*self._makers, strict=True)
        maker: Callable[[], Junk] = self._dice.choices(makers, weights)[0]
        junk = maker()
        return junk if _OURS.fullmatch(junk.redis_id) else replace(junk, fate=Fate.LEFT)

    def _fields(self, jobs: list[tuple[str, Any]] | None = None, actor: str = ACTOR, mark: str = "") -> dict[str, Any]:
        """A message as `seal` makes it, for any jobs."""
        jobs = jobs or [(str(any_uuid(self._dice)), 1)]
        name = f"{jobs[0][0]}:{jobs[0][1]}{mark}"
        return {
            "queue_name": QUEUE, "actor_name": actor, "args": [part for job in jobs for part in job], "kwargs": {},
            "options": {"redis_message_id": name}, "message_id": name, "message_timestamp": 1,
        }  # fmt: skip

    def _junk(self, kind: str, fields: dict[str, Any], fate: Fate = Fate.ASIDE, redis_id: bytes | None = None) -> Junk:
        name = redis_id or str(fields.get("message_id")).encode("utf-8", "replace")
        return Junk(kind, name, as_json(fields), fate)

    def _new_id(self) -> bytes:
        self._number += 1
        return f"junk-{self._number}-{self._dice.getrandbits(32)}".encode()

    def _not_json(self) -> Junk:
        return Junk("not JSON", self._new_id(), not_json(self._dice, as_json(self._fields())), Fate.ASIDE)

    def _no_message(self) -> Junk:
        fields = self._fields()
        if self._dice.random() < 0.5:
            del fields[self._dice.choice(list(fields.keys() - {"message_timestamp"}))]
            return Junk("field missing", self._new_id(), as_json(fields), Fate.ASIDE)
        return Junk("another JSON value", self._new_id(), as_json(any_value(self._dice)), Fate.ASIDE)

    def _wrong_type(self) -> Junk:
        fields = self._fields()
        name = self._dice.choice(("queue_name", "actor_name", "args", "kwargs", "options", "message_id"))
        value = any_value(self._dice)
        while value == fields[name] or value == {}:
            value = any_value(self._dice)
        return Junk("field of another type", fields["message_id"].encode(), as_json(fields | {name: value}), Fate.ASIDE)

    def _bad_claims(self) -> Junk:
        job = str(any_uuid(self._dice))
        fence = self._dice.choice(("1", "x", 1.0, 1.5, True, None, 0, -1, 2**63, 2**70, [1], {"a": 1}))
        if self._dice.random() < 0.6:
            return self._junk("fence of another kind", self._fields([(job, fence)]))
        many = [(str(any_uuid(self._dice)), 1) for _ in range(self._dice.choice((JOBS_MOST + 1, 500)))]
        bad: list[Any] = [
            [], [job], [1, job], [job, 1, job], [1, 1], [None, 1], ["x", 1], [job[:-1], 1], [[job, 1]], {"a": 1},
            job, None, 7,
            [part for pair in many for part in pair],
        ]  # fmt: skip
        return self._junk("no claim", self._fields([(job, 1)]) | {"args": self._dice.choice(bad)})

    def _options(self) -> Junk:
        fields = self._fields(None if self._dice.random() < 0.8 or not self.real else [self._real_claim()])
        fields["options"][self._dice.choice(OPTIONS)] = self._dice.choice(
            (1, None, 10**15, fields["args"], [{"actor_name": "x"}], "x")
        )
        return self._junk("foreign option", fields, redis_id=self._new_id() if self.real else None)

    def _wrong_id(self) -> Junk:
        fields = self._fields()
        change = self._dice.randrange(3)
        if change == 0:
            return self._junk("another id", fields, redis_id=self._new_id())
        other = (
            f"{any_uuid(self._dice)}:1"
            if change == 1
            else f"{fields['message_id']}+{self._dice.choice((1, 3, 10**9, '1' * 400))}"
        )
        return self._junk("another id", fields | {"message_id": other, "options": {"redis_message_id": other}})

    def _unknown_actor(self) -> Junk:
        name = self._dice.choice([*NASTY[:-1], "os.system", "run_coding_session", ACTOR.upper()])
        return self._junk("unknown actor", self._fields(actor=name))

    def _wrong_queue(self) -> Junk:
        name = self._dice.choice(("other", f"{QUEUE}.DQ", QUEUE.upper(), "", *NASTY[:8]))
        return self._junk("another queue", self._fields() | {"queue_name": name})

    def _newer(self) -> Junk:
        name = self._dice.choice(("version", "schema", "v", "prompt", "payload", "fence", "exec", "self", "cls"))
        return self._junk("unknown version or field", self._fields() | {name: any_value(self._dice)})

    def _nobodys_job(self) -> Junk:
        jobs = [
            (str(any_uuid(self._dice)), self._dice.choice((1, 7, 2**62)))
            for _ in range(self._dice.choice((1, 1, 2, 50)))
        ]
        mark = f"+{len(jobs) - 1}" if len(jobs) > 1 else self._dice.choice(("", "!", "!!"))
        return self._junk("nobody's job", self._fields(jobs, mark=mark), Fate.DROPPED)

    def _real_claim(self) -> tuple[str, int]:
        """A real job with its fence, from a message seen before."""
        fields = json.loads(self._dice.choice(self.real)[1])
        at = 2 * self._dice.randrange(len(fields["args"]) // 2)
        return fields["args"][at], fields["args"][at + 1]

    def _other_fence(self) -> Junk:
        if not self.real:
            return self._nobodys_job()
        job, fence = self._real_claim()
        mark = self._dice.choice(("", "!", "!!"))
        other = fence + self._dice.choice((1000, 2**40))
        return self._junk("another fence", self._fields([(job, other)], mark=mark), Fate.DROPPED)

    def _no_payload(self) -> Junk:
        return Junk("no payload", self._new_id(), None, Fate.DROPPED)

    def _flipped(self) -> Junk:
        if self.real and self._dice.random() < 0.5:
            name, data = self._dice.choice(self.real)
        else:
            sealed = seal([Claim(any_uuid(self._dice), 1, QUEUE, ACTOR)])
            name, data = (part.encode() for part in sealed)
        return Junk(
            "bytes flipped",
            b"f" + self._new_id() if name in dict(self.real) else name,
            flipped(self._dice, data),
            Fate.EITHER,
        )

    def _late(self) -> Junk:
        if not self.real:
            return self._no_payload()
        name, data = self._dice.choice(self.real)
        return Junk("delivered again", name, data, Fate.EITHER)

    def _other_actor(self) -> Junk:
        """A real job under the name of another actor. The job itself runs again, with its own actor."""
        job, fence = self._real_claim() if self.real else (str(any_uuid(self._dice)), 1)
        fields = self._fields([(job, fence), (str(UUID(int=self._number)), 1)], "never_asked_for", "+1")
        self._number += 1
        return self._junk("another actor", fields, Fate.EITHER)

    def _odd_id(self) -> Junk:
        odd = self._dice.choice(
            (b"\xff\xfe", b"\x00", b"a" * 5000, b"+", b"!", b"+999999999", b"x+-1", b"\r\n", b"+" + b"9" * 400)
        )
        return Junk(
            "id that is no text", self._new_id() + odd, self._dice.choice((b"", as_json(self._fields()))), Fate.ASIDE
        )

    def _huge(self) -> Junk:
        size = self._dice.choice((10**5, 10**6))
        fields = self._fields() | {"kwargs": {"a": "x" * size}}
        data = self._dice.choice((as_json(fields), b"x" * size, b"[" * size, any_bytes(self._dice, size)))
        return Junk("huge", self._new_id(), data, Fate.ASIDE)
