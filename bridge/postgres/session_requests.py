"""What the user of a session asks of it: prompts, answers, going on, stopping; and how it stands. For web and commands.

`user` is whose session it must be. None: whoever's, for an operator.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bridge.errors import BridgeError
from bridge.postgres.job_list import Call

WAITING_MOST = 20  # prompts that no turn has taken: more than a person writes meanwhile, and a bound for a message


class NoSuchSessionError(BridgeError):
    """There is none with this id, or it is somebody else's: an answer must not confirm that it exists."""


class SessionExpiredError(BridgeError):
    """It takes nothing more."""


class SessionStateError(BridgeError):
    """Not now: what is asked for does not fit what the session does."""


class InboxFullError(BridgeError):
    """Too many prompts wait already."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """`job_id`: the job of the turn that this begins; None: the turn that is under way takes it."""

    job_id: UUID | None
    answers: bool = False  # it is the answer to the question that was open


def send_prompt(call: Call, session_id: UUID, user: UUID | None, prompt: str) -> Accepted:
    """Raises NoSuchSessionError, SessionExpiredError, InboxFullError."""
    row = _row(call("send_prompt", {"session": session_id, "user": user, "prompt": prompt, "most": WAITING_MOST}))
    if row["state"] == "full":
        raise InboxFullError(
            f"{WAITING_MOST} prompts wait for the session's turn already: wait until it has taken them"
        )
    return Accepted(row["job_id"], answers=row["state"] == "asked")


def answer_question(call: Call, session_id: UUID, user: UUID | None, call_id: str | None, text: str) -> Accepted:
    """Answer the open question; `call_id` says which one is meant. Raises SessionStateError when it is not open."""
    params = {"session": session_id, "user": user, "call_id": call_id, "text": text}
    row = _row(call("answer_question", params))
    if row["job_id"] is None:
        raise SessionStateError("This question is not open: it was answered, or given up")
    return Accepted(row["job_id"], answers=True)


def continue_session(call: Call, session_id: UUID, user: UUID | None) -> Accepted:
    """Go on where the last turn stopped. Raises SessionStateError while one is under way or asks for an answer."""
    row = _row(call("continue_session", {"session": session_id, "user": user}))
    if row["job_id"] is None and row["state"] == "asked":
        raise SessionStateError("The session waits for an answer to its question")
    if row["job_id"] is None:
        raise SessionStateError("The session is at work already")
    return Accepted(row["job_id"])


def cancel_session(call: Call, session_id: UUID, user: UUID | None, by: str) -> int:
    """Stop all that the session does. Returns how many jobs are cancelled or will be stopped."""
    cancelled = call("cancel_session", {"session": session_id, "user": user, "by": by})[0]["cancelled"]
    if cancelled is None:
        raise _no_session()
    return int(cancelled)


def session_turn(call: Call, session_id: UUID, user: UUID | None) -> dict[str, Any]:
    """Its last turn: `turn`, `turn_state`, `question`, `progress`, all None before the first; how many prompts wait."""
    return _row(call("session_turn", {"session": session_id, "user": user}))


def session_usage(call: Call, session_id: UUID, user: UUID | None) -> dict[str, Any]:
    """Tokens and costs of the session's requests, and what all of its user's cost today (UTC)."""
    return _row(call("session_usage", {"session": session_id, "user": user}))


def _row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    if not rows:
        raise _no_session()
    if rows[0].get("state") == "expired":
        raise SessionExpiredError("The session has expired: start a new one")
    return rows[0]


def _no_session() -> NoSuchSessionError:
    return NoSuchSessionError("Session not found or access denied")
