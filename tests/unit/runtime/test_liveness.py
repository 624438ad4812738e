"""The liveness file of a process, and what a probe reports from it."""

import logging
import os
import re
import time
from pathlib import Path

import pytest

from bridge.runtime import liveness_file
from bridge.runtime.liveness import Liveness
from bridge.runtime.watchdog import StalledThread, Watchdog
from bridge.settings import Settings
from tests.support.waiting import eventually
from tests.unit.runtime.conftest import DATABASE, Probe


def file_of(settings: Settings) -> Path:
    (file,) = (settings.mobvibe_dir / "liveness").iterdir()
    return file


def age(file: Path, seconds: float) -> None:
    liveness_file.renew(file, time.monotonic() - seconds)


def test_a_process_is_found_while_it_lives_and_not_after_it_ended(live: Liveness, probe: Probe) -> None:
    assert "no bridge runs here for 127.0.0.1:9/ours" in probe("bridge").one_line()
    live.start()

    result = probe("bridge")
    assert (result.code, result.out) == (0, f"bridge: {os.getpid()} alive\n")
    assert probe("worker").code == 1
    assert probe("bridge", "worker").code == 1

    live.close()
    assert probe("bridge").code == 1


def test_a_process_without_a_sign_of_life_is_named(live: Liveness, settings: Settings, probe: Probe) -> None:
    live.begin()
    age(file_of(settings), 15)
    assert probe("bridge").code == 0
    assert probe("bridge", "--max-age", "10").code == 1

    age(file_of(settings), 31)
    aged = time.monotonic()

    result = probe("bridge")
    assert result.code == 1
    assert f"the bridge process {os.getpid()} has made no progress since " in result.one_line()
    for_seconds = int(result.err.strip().removesuffix(" s").rpartition(", for ")[2])
    assert 31 <= for_seconds <= 32 + time.monotonic() - aged
    assert probe("bridge", "--max-age", "60").code == 0


def test_the_sign_of_life_is_renewed(live: Liveness, settings: Settings) -> None:
    live.start()
    age(file_of(settings), 100)

    eventually(lambda: file_of(settings).stat().st_mtime > time.monotonic() - 50)


def test_a_loop_that_hangs_is_reported_at_once_and_once(
    live: Liveness, probe: Probe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live.begin()
    stalled = StalledThread("dispatcher", time.monotonic() - 5)
    with monkeypatch.context() as patch:
        patch.setattr(Watchdog, "stalled", lambda _: stalled)
        live.say()
        live.say()
        line = probe("bridge").one_line()
        assert f"the bridge process {os.getpid()} (dispatcher) has made no progress since " in line
        assert re.search(r", for ([5-9]|\d\d) s$", line)

    live.say()

    assert probe("bridge").code == 0
    assert [record.getMessage()[:20] for record in caplog.records] == ["A loop of this proce", "The loop makes progr"]


def test_another_projects_process_in_the_same_folder_is_not_taken_for_ours(live: Liveness, probe: Probe) -> None:
    live.begin()

    result = probe("bridge", DATABASE_URL="postgresql://user:secret@db/theirs")

    assert result.code == 1
    assert "no bridge runs here for db:5432/theirs" in result.one_line()
    assert "what runs here works for 127.0.0.1:9/ours" in result.err
    assert "secret" not in result.err
    assert "geheim" not in result.err


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p4ss/w0rd@db/m",
        "postgresql://u:4/w0rd@db/m",
        "postgresql://u:4?w0rd@db/m",
        "host=db password='top w0rd'",
    ],
)
def test_an_address_whose_password_cannot_be_separated_is_not_shown(live: Liveness, probe: Probe, address: str) -> None:
    live.begin()

    line = probe("bridge", DATABASE_URL=address).one_line()

    assert "no bridge runs here for an address that cannot be read" in line
    assert not any(part in line for part in ("p4ss", "w0rd", "u:4", "top"))


def test_a_removed_file_is_written_again(live: Liveness, settings: Settings, probe: Probe) -> None:
    live.start()
    file = file_of(settings)
    file.unlink()
    file.parent.rmdir()

    eventually(file.exists)

    assert probe("bridge").code == 0


@pytest.mark.parametrize("folder", [None, "/proc/nope"])
def test_a_folder_that_cannot_be_written_is_logged_once_and_ends_no_process(
    settings: Settings, caplog: pytest.LogCaptureFixture, folder: str | None
) -> None:
    settings.mobvibe_dir.touch()  # a file instead of a folder, because root may write into any folder
    live = Liveness("bridge", settings.model_copy(update={"mobvibe_dir": Path(folder)} if folder else {}))

    live.begin()
    live.say()

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "mobvibe healthcheck bridge will not find this process" in record.getMessage()
    assert "Set MOBVIBE_DIR" in record.getMessage()


def test_a_folder_that_cannot_be_read_is_one_line(probe: Probe, settings: Settings) -> None:
    settings.mobvibe_dir.touch()

    assert "cannot be read: Not a directory" in probe("bridge").one_line()


def test_without_environment_variables_the_folder_and_database_come_from_the_settings(
    live: Liveness, probe: Probe, tmp_path: Path
) -> None:
    live.begin()
    assert "DATABASE_URL is missing" in probe("bridge", DATABASE_URL="").one_line()

    (tmp_path / ".env").write_text(f"DATABASE_URL={DATABASE}\nMOBVIBE_DIR={tmp_path / 'dir'}\n")

    assert probe("bridge", DATABASE_URL="", MOBVIBE_DIR="").code == 0


def test_after_a_pause_of_the_whole_process_each_thread_has_its_full_time_again(
    live: Liveness, dog: Watchdog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dog.watch("loop")
    live.say()
    later = time.monotonic() + 200
    monkeypatch.setattr(time, "monotonic", lambda: later)
    live.say()
    assert not caplog.records

    for second in range(1, 131):
        monkeypatch.setattr(time, "monotonic", lambda second=second: later + second)
        live.say()

    assert [record.getMessage()[:20] for record in caplog.records] == ["A loop of this proce"]
