"""What a record says after the end of its process. Ends of real processes are in test_fatal_ends.py."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from bridge.worker.crash_record import Crash, CrashRecord, create, has_crashed, take

WORKER, JOB = UUID(int=1), UUID(int=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "folder" / "crash"
    create(place)
    return place


def test_a_process_that_still_runs_has_not_crashed(path: Path) -> None:
    assert not has_crashed(path)
    CrashRecord(str(path)).set_worker(WORKER)
    assert not has_crashed(path)


def test_a_process_whose_parent_has_not_asked_for_its_exit_code_has_crashed(path: Path) -> None:
    code = (
        "import sys, uuid; from bridge.worker.crash_record import CrashRecord;"
        " CrashRecord(sys.argv[1]).set_worker(uuid.UUID(int=1))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert has_crashed(path)

    assert take(path) == Crash(WORKER, process.pid, None, None)
    assert not has_crashed(path), "it is said once"


def test_a_process_that_signed_off_or_never_registered_has_not_crashed(path: Path) -> None:
    record = CrashRecord(str(path))
    record.set_worker(WORKER)
    record.set_worker(None)

    assert not has_crashed(path)
    assert take(path) is None


def test_a_job_that_ended_after_all_did_not_end_its_process(path: Path) -> None:
    record = CrashRecord(str(path))
    record.set_worker(WORKER)
    record.begin(JOB)
    record.set_ended_by(JOB)
    record.end(JOB)

    assert take(path) == Crash(WORKER, os.getpid(), None, None)


def test_more_threads_than_a_record_has_places_for_are_not_written_down(path: Path) -> None:
    record = CrashRecord(str(path))
    record.set_worker(WORKER)
    with pytest.MonkeyPatch.context() as patch:
        for thread in range(1, 1027):
            patch.setattr("threading.get_ident", lambda ident=thread: ident)
            record.begin(UUID(int=thread))
    with path.open("ab") as file:
        file.write(b"Fatal Python error: Aborted\n\nCurrent thread 0x%x (most recent call first):\n" % 1023)

    crash = take(path)

    assert crash is not None
    assert crash.ended_by == UUID(int=1023)


def test_a_record_of_an_earlier_process_is_left_to_it(path: Path) -> None:
    earlier = CrashRecord(str(path))
    create(path)

    earlier.set_worker(WORKER)

    assert take(path) is None
