"""The file of a process, and what a probe makes of it."""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge.runtime import liveness, liveness_file
from bridge.runtime.liveness import Liveness
from bridge.runtime.watchdog import Standing, Watchdog
from bridge.settings import Settings
from tests.support.commands import Said, mobvibe
from tests.support.waiting import eventually

DATABASE = "postgresql://user:geheim@127.0.0.1:9/ours"
Probe = Callable[..., Said]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=SecretStr(DATABASE), mobvibe_dir=tmp_path / "dir")


@pytest.fixture
def dog() -> Watchdog:
    return Watchdog()


@pytest.fixture
def live(settings: Settings, dog: Watchdog, monkeypatch: pytest.MonkeyPatch) -> Iterator[Liveness]:
    """A bridge, as it were; nothing is watched but what the test says."""
    monkeypatch.setattr(liveness, "WATCHDOG", dog)
    live = Liveness("bridge", settings)
    yield live
    live.close()


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    def run(*args: str, **environment: str) -> Said:
        environment = {"MOBVIBE_DIR": str(tmp_path / "dir"), "DATABASE_URL": DATABASE} | environment
        return mobvibe("healthcheck", *args, cwd=tmp_path, **environment)

    return run


def file_of(settings: Settings) -> Path:
    (file,) = (settings.mobvibe_dir / "liveness").iterdir()
    return file


def age(file: Path, seconds: float) -> None:
    liveness_file.renew(file, time.monotonic() - seconds)


def test_a_live_process_is_found_and_is_no_more_when_it_has_ended(live: Liveness, probe: Probe) -> None:
    assert "no bridge runs here for 127.0.0.1:9/ours" in probe("bridge").one_line()
    live.start()

    said = probe("bridge")
    assert (said.code, said.out) == (0, f"bridge: {os.getpid()} alive\n")
    assert probe("worker").code == 1
    assert probe("bridge", "worker").code == 1

    live.close()
    assert probe("bridge").code == 1


def test_a_process_without_a_sign_of_life_is_named(live: Liveness, settings: Settings, probe: Probe) -> None:
    live.begin()
    age(file_of(settings), 29)
    assert probe("bridge").code == 0
    assert probe("bridge", "--max-age", "20").code == 1

    age(file_of(settings), 31)

    said = probe("bridge")
    assert said.code == 1
    assert f"the bridge process {os.getpid()} has stood still since " in said.one_line()
    assert said.err.strip().endswith(", for 31 s")
    assert probe("bridge", "--max-age", "60").code == 0


def test_the_sign_is_given_again_and_again(live: Liveness, settings: Settings) -> None:
    live.start()
    age(file_of(settings), 100)

    eventually(lambda: file_of(settings).stat().st_mtime > time.monotonic() - 50)


def test_a_loop_that_stands_is_said_at_once_and_once(
    live: Liveness, probe: Probe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    live.begin()
    standing = Standing("dispatcher", time.monotonic() - 5)
    with monkeypatch.context() as patch:
        patch.setattr(Watchdog, "standing", lambda _: standing)
        live.say()
        live.say()
        line = probe("bridge").one_line()
        assert f"the bridge process {os.getpid()} (dispatcher) has stood still since " in line
        assert re.search(r", for ([5-9]|\d\d) s$", line)

    live.say()

    assert probe("bridge").code == 0
    assert [record.getMessage()[:20] for record in caplog.records] == ["A loop of this proce", "It turns again"]


def test_another_projects_process_in_the_same_folder_is_not_taken_for_ours(live: Liveness, probe: Probe) -> None:
    live.begin()

    said = probe("bridge", DATABASE_URL="postgresql://user:secret@db/theirs")

    assert said.code == 1
    assert "no bridge runs here for db:5432/theirs" in said.one_line()
    assert "what runs here works for 127.0.0.1:9/ours" in said.err
    assert "secret" not in said.err
    assert "geheim" not in said.err


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p4ss/w0rd@db/m",
        "postgresql://u:4/w0rd@db/m",
        "postgresql://u:4?w0rd@db/m",
        "host=db password='top w0rd'",
    ],
)
def test_an_address_whose_password_cannot_be_told_apart_is_not_shown(
    live: Liveness, probe: Probe, address: str
) -> None:
    live.begin()

    line = probe("bridge", DATABASE_URL=address).one_line()

    assert "no bridge runs here for an address that cannot be read" in line
    assert not any(part in line for part in ("p4ss", "w0rd", "u:4", "top"))


def test_the_file_holds_no_user_and_no_password(live: Liveness, settings: Settings) -> None:
    live.begin()

    text = file_of(settings).read_text()

    assert "127.0.0.1:9/ours" in text
    assert "user" not in text
    assert "geheim" not in text


def test_a_standing_process_of_another_project_is_not_our_trouble(
    live: Liveness, settings: Settings, probe: Probe
) -> None:
    live.begin()
    other = liveness_file.own_sign("bridge", "postgresql://db/theirs")
    theirs = liveness_file.path_of(settings.mobvibe_dir / "liveness", other).with_suffix(".1")
    liveness_file.write(theirs, other, time.monotonic() - 1000)

    assert probe("bridge").code == 0


@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"started": "1"}])
def test_a_process_that_is_gone_does_not_count_even_if_its_id_lives(
    live: Liveness, settings: Settings, probe: Probe, change: dict[str, object]
) -> None:
    live.begin()
    file = file_of(settings)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    assert "no bridge runs here" in probe("bridge").one_line()


@pytest.mark.parametrize("text", ["", "[]", '{"role": 1}', "\udcff"])
def test_a_file_that_is_none_of_ours_is_passed_over(
    live: Liveness, settings: Settings, probe: Probe, text: str
) -> None:
    live.begin()
    file = file_of(settings)
    file.with_suffix(".1").write_bytes(text.encode("utf-8", "surrogateescape"))
    (file.parent / "notes").touch()

    assert probe("bridge").code == 0


def test_leftovers_of_the_killed_are_removed(live: Liveness, settings: Settings) -> None:
    live.begin()
    file = file_of(settings)
    leftover, elsewhere = file.with_suffix(f".{2**22 + 1}"), file.parent / "bridge.elsewhere.1"
    leftover.touch()
    elsewhere.touch()

    live.begin()

    assert set(file.parent.iterdir()) == {file, elsewhere}


def test_a_file_that_somebody_removed_is_there_again(live: Liveness, settings: Settings, probe: Probe) -> None:
    live.start()
    file = file_of(settings)
    file.unlink()
    file.parent.rmdir()

    eventually(file.exists)

    assert probe("bridge").code == 0


@pytest.mark.parametrize("folder", [None, "/proc/nope"])
def test_a_folder_that_cannot_be_written_is_said_once_and_stops_nobody(
    settings: Settings, caplog: pytest.LogCaptureFixture, folder: str | None
) -> None:
    settings.mobvibe_dir.touch()  # a file, where a folder should be; root may write anywhere
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


def test_without_the_environment_the_settings_say_where_and_whose(live: Liveness, probe: Probe, tmp_path: Path) -> None:
    live.begin()
    assert "DATABASE_URL is missing" in probe("bridge", DATABASE_URL="").one_line()

    (tmp_path / ".env").write_text(f"DATABASE_URL={DATABASE}\nMOBVIBE_DIR={tmp_path / 'dir'}\n")

    assert probe("bridge", DATABASE_URL="", MOBVIBE_DIR="").code == 0


def test_after_a_pause_of_the_whole_process_each_thread_has_its_time_again(
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
