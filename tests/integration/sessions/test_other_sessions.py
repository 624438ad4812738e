"""What is done to a session changes no other one, waits for no other one, and counts nothing of theirs."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from bridge.postgres.attempts import AttemptKey
from bridge.postgres.bundles import PostgresBundles
from bridge.postgres.turns import Budgets, OverBudget, TurnKey, Turns, Usage
from tests.support.rows import Rows
from tests.support.turns import USER, TurnSteps, said

LIFETIME = timedelta(minutes=30)
QUESTION = {"callId": "call", "question": "?", "scope": "session"}
BUDGETS = Budgets(turn=None, session=1.0, day=None)
KINDS = ("turns", "messages", "calls", "inbox", "requests", "bundles", "events")
TABLES = {f"session_{kind}": "session_id" for kind in KINDS} | {"coding_jobs": "session_id", "coding_sessions": "id"}


class Session:
    """A session, and what its attempts and its user do."""

    def __init__(self, turns: TurnSteps) -> None:
        self.id = turns.add_session()
        self._turns, self._calls = turns, Turns(turns.steps.link)
        self._held = AttemptKey(uuid4(), 0, None)

    @property
    def _key(self) -> TurnKey:
        return TurnKey(self._held.job_id, self._held.fence)

    def begin(self, job_id: UUID | None = None) -> tuple[int, str, int, int]:
        """Turn and state, how many of its messages are stored, and the place of the next one."""
        _, self._held = self._turns.start(self.id, job_id)
        begun = self._calls.begin(self._key, LIFETIME)
        return begun.turn, begun.state, begun.messages, begun.position

    def work(self, position: int) -> None:
        sent = [row["number"] for row in self._turns.rows.all("SELECT number FROM session_inbox")]
        self._calls.add_messages(self._key, [said("user", "a")], [], position=position, begins=False, prompts=sent)
        self._calls.start_call(self._key, "bash", "bash", {}, [("call", {})])
        self._calls.set_progress(self._key, 0.5, [])
        PostgresBundles(self._turns.steps.link.call, self._key).put(self.id, None, f"c{position}", b"1")

    def reserve(self, request: UUID) -> OverBudget | None:
        return self._calls.reserve(self._key, request, 1.0, BUDGETS)

    def spend(self) -> None:
        request = uuid4()
        assert self.reserve(request) is None
        self._calls.spend(self._key, request, Usage("m", 1, 2, cost_usd=0.6))

    def finish_call(self) -> None:
        self._calls.finish_call(self._key, "call", {}, [("call", {})])

    def end(self, state: str) -> None:
        self._calls.end(self._key, state, QUESTION if state == "asked" else None, LIFETIME, [("end", {})])
        self._turns.steps.complete(self._held)

    def call(self, name: str, *args: object) -> tuple[Any, ...]:
        """One of the functions of the session's user."""
        marks = ", %s" * len(args)
        return tuple(self._turns.rows.one(f"SELECT * FROM {name}(%s, %s{marks})", [self.id, USER, *args]).values())


def in_the_midst(turns: TurnSteps) -> list[UUID]:
    """Sessions that have something of everything: one in its third turn, and one with an open question."""
    working, asking = Session(turns), Session(turns)
    asking.begin(turns.rows.add_job(session_id=asking.id, priority=7))
    asking.end("asked")
    working.begin(turns.rows.add_job(session_id=working.id, priority=7))
    working.work(0)
    working.spend()
    working.end("asked")
    working.begin(working.call("continue_session")[1])
    working.end("asked")
    working.begin(working.call("continue_session")[1])
    working.work(1)
    working.reserve(uuid4())
    working.call("send_prompt", "more", 9)
    return [working.id, asking.id]


def live(session: Session) -> None:
    assert session.begin() == (1, "running", 0, 0)
    session.end("asked")
    assert session.begin() == (2, "running", 0, 0)
    session.work(0)
    session.spend()
    session.spend()
    assert session.reserve(uuid4()) == OverBudget("session", 1.2, 1.0)
    session.end("asked")
    state, job = session.call("answer_question", "call", "red")
    assert (state, session.begin(job)) == ("asked", (3, "running", 0, 1))
    session.finish_call()
    assert session.call("send_prompt", "more", 1) == ("working", None)
    session.end("finished")
    assert session.call("cancel_session", "ann") == (1,)
    state, job = session.call("continue_session")
    assert (state, session.begin(job)) == ("idle", (4, "running", 0, 1))
    session.call("send_prompt", "more", 1)
    session.end("asked")
    state, job = session.call("continue_session")
    assert (state, session.begin(job)) == ("asked", (5, "running", 0, 1))
    session.end("asked")
    assert session.begin() == (6, "running", 0, 1)
    session.end("asked")
    assert session.call("cancel_session", "ann") == (0,)


def test_sessions_do_not_touch_each_other(turns: TurnSteps, rows: Rows, dsn: str) -> None:
    others, session = in_the_midst(turns), Session(turns)

    def stored() -> dict[str, list[dict[str, Any]]]:
        asked = "SELECT * FROM {} t WHERE {} = ANY (%s) ORDER BY t::text"
        return {table: rows.all(asked.format(table, column), [others]) for table, column in TABLES.items()}

    before = stored()
    assert all(before.values()), "all kinds of rows"
    for connection in (turns.steps.link.connection, rows.connection):
        connection.execute("SET lock_timeout = '1s'")
    with psycopg.connect(dsn) as busy:
        for table, column in TABLES.items():
            busy.execute(f"SELECT FROM {table} WHERE {column} = ANY (%s) FOR UPDATE", [others])
        live(session)

    assert stored() == before

    def mine(what: str, table: str) -> list[Any]:
        asked = f"SELECT {what} AS value FROM {table} t WHERE session_id = %s ORDER BY t::text"
        return [row["value"] for row in rows.all(asked, [session.id])]

    assert set(mine("priority", "coding_jobs")) == {0}
    assert mine("position", "session_calls") == [0, 0]
    assert mine("cost_usd::text", "session_requests") == ["0.6", "0.6"]
    states = mine("state || turn", "session_turns")
    assert sorted(states) == ["abandoned1", "abandoned5", "abandoned6", "answered2", "answered4", "finished3"]
