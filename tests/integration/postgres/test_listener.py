"""LISTEN on a session that is a pooler's: nothing is left on it."""

import pytest

from bridge.postgres import listener
from bridge.postgres.listener import Listener
from tests.support.session_keeper import SessionKeeper
from tests.support.waiting import eventually


@pytest.mark.parametrize("is_deaf", [False, True])
def test_nobody_is_left_listening_on_a_pooled_session(
    keeper: SessionKeeper, monkeypatch: pytest.MonkeyPatch, is_deaf: bool
) -> None:
    monkeypatch.setattr(listener, "_ECHO_SECONDS", 0.5)
    keeper.is_deaf = is_deaf
    one = Listener(keeper.dsn, "new_job", lambda _: None)
    one.start()
    if is_deaf:
        eventually(lambda: b"mobvibe_echo" in keeper.heard, what="the probe")
    else:
        assert one.subscribed.wait(10)
        assert b"new_job" in keeper.ask("SELECT pg_listening_channels()")

    one.close()

    assert one.subscribed.is_set() is not is_deaf
    said = keeper.ask("SELECT pg_listening_channels()")
    assert b"new_job" not in said
    assert b"mobvibe_echo" not in said
