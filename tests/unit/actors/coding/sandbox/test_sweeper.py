"""Which sandboxes are stopped, destroyed, and left alone."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from actors.coding.sandbox.base import SandboxError
from actors.coding.sandbox.local import LocalProvider
from actors.coding.sandbox.sweeper import Sessions, sweep
from tests.support.sandboxes import SPEC, local_provider

HOUR = timedelta(hours=1)


@pytest.fixture
def provider(tmp_path: Path) -> LocalProvider:
    return local_provider(tmp_path / "workspaces")


def swept(
    provider: LocalProvider,
    *,
    working: set[UUID] | None = None,
    kept: set[UUID] | None = None,
    later: timedelta = timedelta(),
    most: int = 10,
) -> dict[UUID, str]:
    """Sweep, and return the states of the sandboxes that are left."""
    sessions = Sessions(working or set(), kept or set())
    sweep(provider, lambda _: sessions, datetime.now(UTC) + later, idle=HOUR, most=most)
    return {info.session_id: "running" if info.is_running else "stopped" for info in provider.list()}


def test_only_what_no_job_wants_and_nobody_used_is_stopped(provider: LocalProvider) -> None:
    idle, working = uuid4(), uuid4()
    for session_id in (idle, working):
        provider.obtain(session_id, 1, SPEC).write("file", b"x")

    both = {idle, working}
    assert swept(provider, working={working}, kept=both) == dict.fromkeys(both, "running")
    assert swept(provider, working={working}, kept=both, later=HOUR) == {idle: "stopped", working: "running"}

    assert provider.obtain(idle, 2, SPEC).read("file", most=1) == b"x"
    for session_id in both:
        provider.destroy(session_id)


def test_only_what_is_over_is_destroyed(provider: LocalProvider) -> None:
    over, working, kept = uuid4(), uuid4(), uuid4()
    for session_id in (over, working, kept):
        provider.obtain(session_id, 1, SPEC)
    provider.stop(kept)

    assert swept(provider, working={working}, kept={kept}) == {working: "running", kept: "stopped"}

    assert swept(provider) == {}


def test_above_the_most_the_longest_idle_are_stopped_but_none_that_works(provider: LocalProvider) -> None:
    sessions = [uuid4() for _ in range(4)]
    for session_id in sessions:
        provider.obtain(session_id, 1, SPEC).run("c", ["true"], lambda *_: None, seconds=5)

    states = swept(provider, working={sessions[0]}, kept=set(sessions), most=2)

    assert [states[session_id] for session_id in sessions] == ["running", "stopped", "stopped", "running"]
    for session_id in sessions:
        provider.destroy(session_id)


@pytest.mark.parametrize("error", [SandboxError("the drive is away"), OSError(16, "the drive is away")], ids=type)
def test_one_that_cannot_be_swept_keeps_none_of_the_others(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    stuck, over = uuid4(), uuid4()
    for session_id in (stuck, over):
        provider.obtain(session_id, 1, SPEC)
    destroy = provider.destroy

    def refuse(session_id: UUID) -> None:
        if session_id == stuck:
            raise error
        destroy(session_id)

    monkeypatch.setattr(provider, "destroy", refuse)
    with caplog.at_level(logging.WARNING):
        assert swept(provider) == {stuck: "running"}

    assert f"left for the next time: {error}" in caplog.text
    destroy(stuck)
