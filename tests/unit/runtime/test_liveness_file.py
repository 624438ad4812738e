"""The files in MOBVIBE_DIR/liveness: whose they are, and which of them count."""

import json
import time
from pathlib import Path

import pytest

from bridge.runtime import liveness_file
from bridge.runtime.liveness import Liveness
from bridge.settings import Settings
from tests.unit.runtime.conftest import Probe


def file_of(settings: Settings) -> Path:
    (file,) = (settings.mobvibe_dir / "liveness").iterdir()
    return file


def test_the_file_holds_no_user_and_no_password(live: Liveness, settings: Settings) -> None:
    live.begin()

    text = file_of(settings).read_text()

    assert "127.0.0.1:9/ours" in text
    assert "user" not in text
    assert "geheim" not in text


def test_a_process_of_another_database_that_hangs_does_not_make_ours_unhealthy(
    live: Liveness, settings: Settings, probe: Probe
) -> None:
    live.begin()
    other = liveness_file.own_sign("bridge", "postgresql://db/theirs")
    theirs = liveness_file.path_of(settings.mobvibe_dir / "liveness", other).with_suffix(".1")
    liveness_file.write(theirs, other, time.monotonic() - 1000)

    assert probe("bridge").code == 0


@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"started": "1"}])
def test_a_process_that_ended_does_not_count_even_if_its_id_is_reused(
    live: Liveness, settings: Settings, probe: Probe, change: dict[str, object]
) -> None:
    live.begin()
    file = file_of(settings)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    assert "no bridge runs here" in probe("bridge").one_line()


@pytest.mark.parametrize("text", ["", "[]", '{"role": 1}', "\udcff"])
def test_a_foreign_or_malformed_file_is_ignored(live: Liveness, settings: Settings, probe: Probe, text: str) -> None:
    live.begin()
    file = file_of(settings)
    file.with_suffix(".1").write_bytes(text.encode("utf-8", "surrogateescape"))
    (file.parent / "notes").touch()

    assert probe("bridge").code == 0


def test_files_of_killed_processes_are_removed(live: Liveness, settings: Settings) -> None:
    live.begin()
    file = file_of(settings)
    leftover, elsewhere = file.with_suffix(f".{2**22 + 1}"), file.parent / "bridge.elsewhere.1"
    leftover.touch()
    elsewhere.touch()

    live.begin()

    assert set(file.parent.iterdir()) == {file, elsewhere}
