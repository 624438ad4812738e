"""A turn of a session: the prompt or the answer is stored, the agent works, what it changed is saved, the turn ends."""

import logging
from collections.abc import Callable
from typing import Any

from actors.coding.agent.conversation import calls_of, note_block, text_block
from actors.coding.agent.deltas import EventStream
from actors.coding.agent.runner import Asks, Ending, Finished, Json, Message, OverBudget, Turn
from actors.coding.installation import Installation
from actors.coding.sandbox.base import Sandbox
from actors.coding.workspace.choice import Limits
from actors.coding.workspace.workspace import MB, Workspace
from bridge import Fail, Job
from bridge.sessions import Record
from bridge.snapshots.origin import OriginError, read_origin
from bridge.snapshots.repository import Repository

logger = logging.getLogger(__name__)

_KEPT_FILE_BYTES = 20 * MB  # of a file in a snapshot: source code is smaller, and what is larger is said
_KEPT_BYTES = 200 * MB  # of all snapshots of a session: a row of Postgres can hold 1 GB
_GO_ON = "Go on."  # what the user means by it, where the model had the last word


class SessionTurn:
    """One attempt at the turn that a job is. Each step is stored before the next: a later attempt goes on from it."""

    def __init__(self, job: Job, record: Record, installation: Installation, events: EventStream) -> None:
        assert job.session_id is not None
        self._job, self._session_id = job, job.session_id
        self._record, self._here, self._events = record, installation, events
        self._is_resumed = record.has_begun

    def run(self) -> dict[str, Any]:
        """The job's result. Raises what the agent raises, and SandboxError, WorkspaceError, GitError."""
        self._begin()
        sandbox = self._here.provider.obtain(self._session_id, self._job.fence, self._here.spec)
        try:
            workspace = self._workspace(sandbox)
            if said := workspace.prepare(self._cloning(), has_worked=self._has_worked):
                self._note(said)
            ending = self._here.agent.run_turn(self._turn(), sandbox, self._events)
            for changed in workspace.finish_turn(self._record.number):
                self._events.emit("file_change", changed)
            self._events.flush()
        finally:
            sandbox.close()
        return self._end(ending)

    def _begin(self) -> None:
        """What the job brings becomes part of the conversation, unless an earlier attempt has stored it."""
        number, prompt, answer = self._record.number, self._job.prompt, self._job.payload.get("answer")
        started = ("turn_started", {"turn": number, "agent": self._here.agent.name, "prompt": prompt or ""})
        if answer is not None:
            answered = ("answer", {"callId": answer["callId"], "text": answer["text"]})
            self._record.finish_call(answer["callId"], {"content": answer["text"]}, self._stored([started, answered]))
        elif self._is_resumed:
            return
        elif prompt:
            self._record.add_message(_said(prompt), self._stored([started]))
        elif not (messages := self._record.messages()):
            raise Fail("the prompt is empty: a turn needs one")
        elif messages[-1].role == "assistant" and not calls_of(messages[-1]):  # its answer was cut off, or declined
            self._record.add_message(_said(_GO_ON), self._stored([started]))
        else:
            self._events.emit(*started)

    def _note(self, said: str) -> None:
        """Tell it to the user, and to the model: packages and processes of the sandbox before are gone."""
        self._events.emit("notice", {"text": said})
        messages = self._record.messages()
        if messages and messages[-1].role == "user":  # else calls are open: their results come first, and say enough
            self._record.add_message(Message("user", [note_block(said)]), [])

    def _workspace(self, sandbox: Sandbox) -> Workspace:
        return Workspace(
            self._session_id,
            sandbox,
            Repository(self._here.snapshots / str(self._session_id)),
            self._record.bundles,
            limits=Limits(_KEPT_FILE_BYTES, _KEPT_BYTES),
            kept_bytes=_KEPT_BYTES,
            known=self._here.known,
        )

    def _cloning(self) -> Callable[[Sandbox], str] | None:
        given = self._job.payload.get("repository")
        if given is None:
            return None
        try:
            origin = read_origin(given)
        except OriginError as error:
            raise Fail(f"the repository cannot be cloned: {error}") from None
        return lambda sandbox: self._here.remotes.clone(sandbox, origin, self._job.interruptible)

    def _has_worked(self) -> bool:
        return any(message.role == "assistant" for message in self._record.messages())

    def _turn(self) -> Turn:
        return Turn(
            session_id=self._session_id,
            number=self._record.number,
            record=self._record,
            model=self._here.model,
            seconds=self._here.turn_seconds,
            is_cancelled=lambda: self._job.cancelled,
            interruptible=self._job.interruptible,
            is_resumed=self._is_resumed,
        )

    def _end(self, ending: Ending) -> dict[str, Any]:
        turn = {"turn": self._record.number}
        match ending:
            case Finished():
                completion = {
                    **turn,
                    "success": ending.reason is None,
                    "message": ending.summary,
                    "reason": ending.reason,
                }
                self._record.finish(self._stored([("completion", completion)]))
                return dict(self._events.redacted(completion))
            case Asks():
                question = {**turn, "callId": ending.call_id, "text": ending.question, "choices": list(ending.choices)}
                self._record.ask(
                    ending.call_id, ending.question, ending.choices, self._stored([("question", question)])
                )
                return {**turn, "asked": True}
            case OverBudget():
                text = (
                    f"${ending.spent_usd:.2f} of the ${ending.limit_usd:.2f} of this {ending.scope} are spent. Go on?"
                )
                question = {**turn, "scope": ending.scope, "text": text}
                self._record.ask_to_go_on(ending, self._stored([("question", question)]))
                return {**turn, "asked": True}

    def _stored(self, events: list[tuple[str, Json]]) -> list[tuple[str, Json]]:
        return [(event_type, self._events.redacted(data)) for event_type, data in events]


def _said(text: str) -> Message:
    return Message("user", [text_block(text)])
