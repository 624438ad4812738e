"""The shell behind coding sessions: output while it runs, enforced limits, and no process left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from dramatiq.middleware import Interrupt, raise_thread_exception

from actors.shell import Limits, Results, ShellRun
from tests.support.waiting import eventually

SHELL = Path(__file__).parents[3] / "actors" / "shell.py"
HOLD_50_MB = 'x = b"x" * 50_000_000; import time; time.sleep(60)'
ROOMY = Limits(seconds=20, memory_mb=512, processes=64, file_mb=10)


class Output:
    def __init__(self) -> None:
        self.pieces: list[tuple[int, str, str]] = []

    def __call__(self, script: int, stream: str, text: str) -> None:
        self.pieces.append((script, stream, text))

    def text(self, stream: str = "stdout", script: int | None = None) -> str:
        return "".join(text for s, name, text in self.pieces if name == stream and script in (None, s))


@pytest.fixture
def output() -> Output:
    return Output()


def run(scripts: Sequence[str], workspace: Path, output: Output, limits: Limits = ROOMY, **variables: str) -> Results:
    with ShellRun(scripts, workspace, limits, variables, output) as shell:
        return shell.wait()


def test_scripts_run_in_order_in_the_workspace(tmp_path: Path, output: Output) -> None:
    results = run(["echo one > file; pwd", "cat file; echo two"], tmp_path, output)

    assert results.exit_codes == [0, 0]
    assert output.text(script=0) == f"{tmp_path}\n"
    assert output.text(script=1) == "one\ntwo\n"


def test_the_first_failure_ends_the_run(tmp_path: Path, output: Output) -> None:
    results = run(["true", "echo bad >&2; exit 3", "echo never"], tmp_path, output)

    assert results.exit_codes == [0, 3]
    assert output.text("stderr") == "bad\n"
    assert output.text() == ""


def test_a_signal_is_an_exit_code_as_in_shells(tmp_path: Path, output: Output) -> None:
    assert run(["kill -9 $$"], tmp_path, output).exit_codes == [137]


def test_output_comes_while_the_script_runs(tmp_path: Path, output: Output) -> None:
    go_on = tmp_path / "go_on"
    results: list[Results] = []
    script = "echo first; while [ ! -e go_on ]; do sleep 0.02; done; echo second"
    thread = threading.Thread(target=lambda: results.append(run([script], tmp_path, output)))
    thread.start()
    eventually(lambda: output.text() == "first\n")

    go_on.touch()

    thread.join(10)
    assert output.text() == "first\nsecond\n"


def test_output_is_its_scripts_however_late_it_is_read(tmp_path: Path, output: Output) -> None:
    with ShellRun(["echo one", "echo two", "true"], tmp_path, ROOMY, {}, output) as shell:
        read = shell._read

        def read_late(*event: Any) -> None:
            time.sleep(0.3)  # long enough for the next script to write, if it did not wait
            read(*event)

        shell._read = read_late  # type: ignore[assignment, method-assign]
        shell.wait()

    assert [(script, text) for script, _, text in output.pieces] == [(0, "one\n"), (1, "two\n")]


def test_output_is_passed_on_in_pieces(tmp_path: Path, output: Output) -> None:
    run(["i=0; while [ $i -lt 5000 ]; do echo 0123456789; i=$((i+1)); done"], tmp_path, output)

    assert output.text() == "0123456789\n" * 5000
    assert 1 <= len(output.pieces) < 100


def test_a_character_split_between_two_reads_is_decoded_whole(tmp_path: Path, output: Output) -> None:
    run([r"printf '\303'; sleep 0.3; printf '\244\n'; printf '\377'"], tmp_path, output)

    assert output.text().startswith("ä\n")


def test_endless_output_is_cut(tmp_path: Path, output: Output) -> None:
    results = run(["yes | head -c 3000000"], tmp_path, output)

    assert results.exit_codes == [0]
    assert results.output_cut
    assert len(output.text()) == 1024 * 1024


def test_a_script_gets_no_variables_or_files_of_the_worker(
    tmp_path: Path, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "geheim")

    run(["env; ls /proc/self/fd"], tmp_path, output, MOBVIBE_JOB_ID="7")

    names = {line.partition("=")[0] for line in output.text().splitlines() if "=" in line}
    assert names <= {"PATH", "HOME", "LANG", "TERM", "MOBVIBE_JOB_ID", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "geheim" not in output.text()
    descriptors = [line for line in output.text().splitlines() if line.isdigit()]
    assert set(descriptors) <= {"0", "1", "2", "3"}  # 3 is the descriptor that ls uses to list them


def alive(marker: str) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if marker in " ".join(p.info["cmdline"] or [])]


def test_what_a_script_leaves_running_ends_with_the_job(tmp_path: Path, output: Output) -> None:
    marker = f"{os.getpid()}.{time.monotonic_ns()}"
    script = f"sleep {marker} & setsid sleep {marker} & (setsid sh -c 'sleep {marker} & wait' &) ; echo ok"

    results = run([script, "echo still"], tmp_path, output)

    assert results.exit_codes == [0, 0]
    assert alive(marker) == []


@pytest.mark.parametrize(
    ("script", "limits", "broken"),
    [
        ("sleep 60", Limits(0.3, 512, 64, 10), "time (0.3 s)"),
        ("for i in $(seq 40); do sleep 60 & done; wait", Limits(20, 512, 20, 10), "processes (20)"),
        (
            f"for i in 1 2 3 4; do {sys.executable} -c '{HOLD_50_MB}' & done; wait",
            Limits(20, 128, 64, 10),
            "memory (128 MB)",
        ),
    ],
)
def test_an_exceeded_limit_ends_all_processes_and_is_named(
    tmp_path: Path, output: Output, script: str, limits: Limits, broken: str
) -> None:
    began = time.monotonic()

    results = run([script, "echo never"], tmp_path, output, limits)

    assert (results.exit_codes, results.broken_limit) == ([None], broken)
    assert time.monotonic() - began < 15


def test_one_process_cannot_take_more_memory_than_allowed(tmp_path: Path, output: Output) -> None:
    results = run([f"{sys.executable} -c 'x = bytearray(400_000_000)'"], tmp_path, output, Limits(20, 128, 64, 10))

    assert results.exit_codes == [1]
    assert "MemoryError" in output.text("stderr")


def test_a_file_cannot_grow_beyond_the_limit(tmp_path: Path, output: Output) -> None:
    results = run(["head -c 5000000 /dev/zero > big"], tmp_path, output, Limits(20, 512, 64, 2))

    assert results.exit_codes != [0]
    assert (tmp_path / "big").stat().st_size <= 2 * 1024 * 1024


def test_a_fork_bomb_is_ended(tmp_path: Path, output: Output) -> None:
    marker = f"bomb{os.getpid()}"
    (tmp_path / marker).write_text('sh "$0" & sh "$0" & wait\n')

    results = run([f"sh ./{marker}"], tmp_path, output, Limits(20, 512, 30, 10))

    # The kernel's own limit may be reached first: then forks fail, and the first shell outlives its children.
    assert results.broken_limit == "processes (30)" or "fork" in output.text("stderr").lower()
    eventually(lambda: not alive(marker), what="the end of the fork bomb")


def test_an_interrupt_ends_the_processes_and_is_raised(tmp_path: Path, output: Output) -> None:
    marker = f"{os.getpid()}.{time.monotonic_ns()}"
    raised: list[BaseException] = []

    def body() -> None:
        try:
            run([f"echo up; sleep {marker}"], tmp_path, output)
        except Interrupt as error:
            raised.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    eventually(lambda: output.text() == "up\n")

    raise_thread_exception(thread.ident, Interrupt)

    thread.join(10)
    assert len(raised) == 1
    assert alive(marker) == []


def test_the_death_of_the_worker_ends_the_processes(tmp_path: Path) -> None:
    marker = f"{os.getpid()}.{time.monotonic_ns()}"
    # Imported by its file, because the package's __init__ would connect a broker.
    program = f"""
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("shell", {str(SHELL)!r})
shell = sys.modules["shell"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shell)
scripts = ["setsid sleep {marker} & sleep {marker}"]
with shell.ShellRun(scripts, Path({str(tmp_path)!r}), shell.Limits(60, 512, 64, 10), {{}}, print) as run:
    run.wait()
"""
    worker = subprocess.Popen([sys.executable, "-c", program])
    eventually(lambda: len([p for p in alive(marker) if p != worker.pid]) >= 2, what="both sleeps")

    worker.send_signal(signal.SIGKILL)
    worker.wait(10)

    eventually(lambda: not alive(marker), seconds=3, what="the end of the processes")
