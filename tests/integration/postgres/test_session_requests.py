"""What is asked of a session is accepted, or refused with the reason that an app or a person needs."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from bridge.errors import BridgeError
from bridge.postgres import session_requests
from bridge.postgres.job_list import Call
from bridge.postgres.session_requests import (
    WAITING_MOST,
    InboxFullError,
    NoSuchSessionError,
    SessionExpiredError,
    SessionStateError,
)
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.turns import USER

ASKED: dict[str, Callable[[Call, UUID, UUID | None], object]] = {
    "send": lambda call, session, user: session_requests.send_prompt(call, session, user, "more"),
    "answer": lambda call, session, user: session_requests.answer_question(call, session, user, None, "2"),
    "continue": session_requests.continue_session,
    "cancel": lambda call, session, user: session_requests.cancel_session(call, session, user, "me"),
    "turn": session_requests.session_turn,
    "usage": session_requests.session_usage,
}


@pytest.fixture
def call(steps: Steps) -> Call:
    return steps.link.call


@pytest.mark.parametrize("ask", ASKED)
def test_a_session_that_is_not_the_user_s_is_not_there(call: Call, rows: Rows, ask: str) -> None:
    session_id = rows.add_session(user_id=uuid4())

    for session, user in ((session_id, USER), (uuid4(), USER), (uuid4(), None)):
        with pytest.raises(NoSuchSessionError, match="not found or access denied"):
            ASKED[ask](call, session, user)


@pytest.mark.parametrize("ask", ["send", "continue", "cancel", "turn", "usage"])
def test_an_operator_may_act_on_any_session(call: Call, rows: Rows, ask: str) -> None:
    assert ASKED[ask](call, rows.add_session(user_id=USER), None) is not None


@pytest.mark.parametrize(
    ("status", "jobs", "ask", "error"),
    [
        ("expired", 0, "send", SessionExpiredError),
        ("expired", 0, "continue", SessionExpiredError),
        ("expired", 0, "answer", SessionExpiredError),
        ("active", 1, "continue", SessionStateError),
        ("active", 1, "answer", SessionStateError),
        ("completed", 0, "answer", SessionStateError),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Call, rows: Rows, status: str, jobs: int, ask: str, error: type[BridgeError]
) -> None:
    session_id = rows.add_session(user_id=USER, status=status)
    for _ in range(jobs):
        rows.add_job(session_id=session_id)

    with pytest.raises(error):
        ASKED[ask](call, session_id, USER)

    assert rows.value("SELECT count(*) FROM coding_jobs") == jobs


def test_the_inbox_is_bounded(call: Call, rows: Rows) -> None:
    session_id = rows.add_session(user_id=USER)
    rows.add_job(session_id=session_id)

    for _ in range(WAITING_MOST):
        assert session_requests.send_prompt(call, session_id, USER, "more").job_id is None
    with pytest.raises(InboxFullError, match="20 prompts wait"):
        session_requests.send_prompt(call, session_id, USER, "more")
