"""Whether bubblewrap works here, in one line when it does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from actors.coding.sandbox import bubblewrap
from actors.coding.sandbox.base import SandboxSetupError
from tests.support.sandboxes import SPEC, local_provider


@pytest.fixture(autouse=True)
def fresh() -> None:
    bubblewrap._help.cache_clear()


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (folder / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bwrap").chmod(0o755)
    folder.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SandboxSetupError, match=r"is not installed: apt-get install bubblewrap$"):
        bubblewrap.check(None)


def test_what_it_says_when_it_fails_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")

    with pytest.raises(SandboxSetupError, match="uid map: Permission denied.*namespaces") as raised:
        bubblewrap.check(None)
    assert "\n" not in str(raised.value)


CHECK = """
from pathlib import Path
from actors.coding.sandbox.base import SandboxSetupError
from actors.coding.sandbox import bubblewrap
Path("/proc/sys/user/max_user_namespaces").write_text("0")
try:
    bubblewrap.check(None)
except SandboxSetupError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="root sets the limit, in a namespace")
def test_a_kernel_that_allows_no_namespaces_is_named_with_the_setting(tmp_path: Path) -> None:
    local_provider(tmp_path).check()

    said = subprocess.run(
        ["unshare", "-Urm", "--mount-proc=/proc", "-fp", sys.executable, "-c", CHECK],
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.stdout.count("\n") == 1, said.stderr
    assert "as root, sysctl user.max_user_namespaces=10000" in said.stdout


def test_an_older_bubblewrap_is_called_without_the_options_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, "echo '  --unshare-all'")

    assert "--disable-userns" not in bubblewrap.arguments(SPEC)


def test_nothing_of_the_machine_can_be_written(tmp_path: Path) -> None:
    local_provider(tmp_path)
    arguments = bubblewrap.arguments(SPEC)
    writable = [(arguments[at + 1], arguments[at + 2]) for at, word in enumerate(arguments) if word == "--bind"]

    assert writable == [("workspace", "/workspace"), ("home", "/home/agent")]
    assert not {"--dev-bind", "--share-net", "--cap-add"} & set(arguments)
