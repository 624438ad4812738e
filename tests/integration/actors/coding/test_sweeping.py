"""What sessions have left behind is removed when nobody wants it."""

import os
import time
from collections.abc import Callable

import pytest

from actors.coding import sweeping
from actors.coding.installation import installation
from tests.integration.actors.coding.conftest import CodingSessions
from tests.support.rows import Rows
from tests.support.waiting import eventually

Start = Callable[..., CodingSessions]
PROMPT = "```sh\necho 1 > file\n```"


@pytest.fixture(autouse=True)
def no_sweep_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_next_at", time.monotonic() + 3600)


def test_files_of_a_session_that_is_over_are_removed_here_and_kept_in_postgres(coding: Start, rows: Rows) -> None:
    sessions = coding()
    over, _ = sessions.run(PROMPT)
    kept, _ = sessions.run(PROMPT)
    here = installation()
    rows.all("UPDATE coding_sessions SET expires_at = now() - interval '1 minute' WHERE id = %s", [over])

    sweeping.sweep_now(here)

    assert [info.session_id for info in here.provider.list()] == [kept]
    assert [folder.name for folder in here.snapshots.iterdir()] == [str(kept)]
    assert rows.value("SELECT count(*) FROM session_bundles WHERE session_id = %s", [over]) >= 1


def test_what_this_database_does_not_know_is_left_alone_for_a_day(coding: Start, rows: Rows) -> None:
    sessions = coding()
    session_id, _ = sessions.run(PROMPT)
    here = installation()
    rows.all("DELETE FROM coding_sessions WHERE id = %s", [session_id])

    sweeping.sweep_now(here)
    assert len(here.provider.list()) == len([*here.snapshots.iterdir()]) == 1

    yesterday = time.time() - 25 * 3600
    for path in (here.snapshots.parent / str(session_id)).rglob("*"):
        os.utime(path, (yesterday, yesterday), follow_symlinks=False)
    os.utime(here.snapshots / str(session_id), (yesterday, yesterday))
    sweeping.sweep_now(here)
    assert not here.provider.list()
    assert not [*here.snapshots.iterdir()]


def test_a_turn_sweeps_beside_and_not_more_often_than_needed(
    coding: Start, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = coding()
    over, _ = sessions.run(PROMPT)
    rows.all("UPDATE coding_sessions SET expires_at = now() - interval '1 minute' WHERE id = %s", [over])
    monkeypatch.setattr(sweeping, "_next_at", 0.0)

    sessions.run(PROMPT)

    left = installation().provider.list
    eventually(lambda: over not in {info.session_id for info in left()}, what="the sweep")
    assert sweeping._next_at > time.monotonic()
