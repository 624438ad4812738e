"""All that a turn needs, in memory: for tests of the agents alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from actors.coding.agent.runner import AgentRunner, Ending, Events, Turn
from tests.support.folder_sandbox import FolderSandbox
from tests.support.kept_record import KeptRecord
from tests.support.kills import Kills


class Stage:
    """`run(agent)` is an attempt of the turn; the next one goes on with what the record and the sandbox hold."""

    def __init__(self, folder: Path, *prompts: str, limit_usd: float | None = None) -> None:
        self.record = KeptRecord(*prompts, limit_usd=limit_usd)
        self.events = self.record.events
        self.sandbox = FolderSandbox(folder)
        self.is_cancelled = False
        self.attempts = 0
        self._ends: list[Callable[[], None]] = []

    def run(
        self, agent: AgentRunner, *, kill_at: int | None = None, events: Events | None = None, **options: Any
    ) -> Ending:
        self.record.kills = self.sandbox.kills = Kills(kill_at)
        self.attempts += 1
        turn = Turn(
            session_id=uuid4(),
            number=1,
            record=self.record,
            is_cancelled=lambda: self.is_cancelled,
            interruptible=self._interruptible,
            is_resumed=self.attempts > 1,
            **{"model": "claude-sonnet-5-5", "seconds": 60.0, **options},
        )
        return agent.run_turn(turn, self.sandbox, events or self.events)

    def cancel(self) -> None:
        """As the bridge does it, from another thread."""
        self.is_cancelled = True
        for end in [*self._ends]:
            end()

    @property
    def waits(self) -> bool:
        """Whether the turn is inside a call that a cancel would end."""
        return bool(self._ends)

    def shown(self, event_type: str = "text") -> str:
        return "".join(str(data["text"]) for data in self.events.of(event_type))

    @contextmanager
    def _interruptible(self, end: Callable[[], None]) -> Iterator[None]:
        self._ends.append(end)
        try:
            yield
        finally:
            self._ends.remove(end)
