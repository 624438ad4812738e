from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.tool import Invocation
from tests.support.folder_sandbox import FolderSandbox
from tests.support.kept_events import KeptEvents

MakeCall = Callable[..., Invocation]


@pytest.fixture
def sandbox(tmp_path: Path) -> FolderSandbox:
    return FolderSandbox(tmp_path)


@pytest.fixture
def events() -> KeptEvents:
    return KeptEvents()


@pytest.fixture
def call(sandbox: FolderSandbox, events: KeptEvents) -> MakeCall:
    """An invocation with this input; `stored` is the input where an earlier attempt has stored it."""

    def make(
        stored: Json | None = None, *, call_id: str = "call", seconds: float = 60, **call_input: Any
    ) -> Invocation:
        return Invocation(call_id, stored or call_input, sandbox, events, seconds, lambda _end: nullcontext())

    return make
