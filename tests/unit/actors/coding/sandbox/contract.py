"""What every provider of sandboxes must do. A test class for one inherits this, and makes its fixture `provider`."""

import threading
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from actors.coding.sandbox.base import CallRefusedError, Exit, Sandbox, SandboxError, SandboxProvider
from tests.support.sandboxes import SPEC, Ran, run
from tests.support.waiting import eventually

ENDS_SECONDS = 3.0  # for a command that is ended from outside, on a slow machine


class ProviderContract:
    @pytest.fixture
    def session_id(self, provider: SandboxProvider) -> Iterator[UUID]:
        session_id = uuid4()
        yield session_id
        provider.destroy(session_id)

    @pytest.fixture
    def sandbox(self, provider: SandboxProvider, session_id: UUID) -> Iterator[Sandbox]:
        sandbox = provider.obtain(session_id, 1, SPEC)
        yield sandbox
        sandbox.close()

    def test_a_command_has_two_outputs_and_an_exit_code(self, sandbox: Sandbox) -> None:
        ran = run(sandbox, "echo good; echo bad >&2; exit 3")

        assert ran.exit == Exit(code=3)
        assert (ran.text(), ran.text("stderr")) == ("good\n", "bad\n")

    def test_arguments_arrive_as_they_are(self, sandbox: Sandbox) -> None:
        assert run(sandbox, ["printf", "%s|", "a b", "$HOME", "", "ü\n"]).text() == "a b|$HOME||ü\n|"

    def test_standard_input_is_what_was_given(self, sandbox: Sandbox) -> None:
        data = bytes(range(256)) * 2000

        assert run(sandbox, "wc -c; cat | wc -c", stdin=data).text().split() == [str(len(data)), "0"]
        assert run(sandbox, "cat").text() == ""

    def test_the_environment_is_what_was_given_and_no_secret(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")

        text = run(sandbox, "env", environment={"GIVEN": "a b"}).text()

        assert "GIVEN=a b\n" in text
        assert {line.split("=")[0] for line in text.splitlines()} <= {
            *("GIVEN", "PATH", "HOME", "LANG", "TERM", "USER", "PWD", "SHLVL", "_"),
            *("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy"),
        }

    def test_files_stay_from_one_command_to_the_next(self, sandbox: Sandbox) -> None:
        run(sandbox, "echo 1 > file; mkdir folder; echo 2 > folder/other")

        assert run(sandbox, "cat file folder/other").text() == "1\n2\n"
        assert sandbox.read("folder/other", most=100) == b"2\n"

    def test_output_comes_while_the_command_runs(self, sandbox: Sandbox) -> None:
        ran = Ran()
        script = "echo first; while [ ! -e go_on ]; do sleep 0.02; done; echo second"
        thread = threading.Thread(target=sandbox.run, args=("c", ["sh", "-c", script], ran), kwargs={"seconds": 20})
        thread.start()
        eventually(lambda: ran.text() == "first\n")

        sandbox.write("go_on", b"")

        thread.join(10)
        assert ran.text() == "first\nsecond\n"

    def test_a_call_runs_once_and_answers_again(self, sandbox: Sandbox) -> None:
        first = run(sandbox, "echo ran; echo x >> count; exit 4", call_id="toolu_1")
        again = run(sandbox, "echo other", call_id="toolu_1")

        assert (again.text(), again.exit) == (first.text(), first.exit) == ("ran\n", Exit(code=4))
        assert sandbox.read("count", most=10) == b"x\n"
        assert sandbox.has("toolu_1") and not sandbox.has("toolu_2")

    def test_one_may_attach_to_a_call_that_runs(self, provider: SandboxProvider, session_id: UUID) -> None:
        sandbox, also = provider.obtain(session_id, 1, SPEC), provider.obtain(session_id, 1, SPEC)
        script = "echo first; echo x >> count; while [ ! -e go_on ]; do sleep 0.02; done; echo second"
        both = [Ran(), Ran()]
        threads = []
        for one, ran in zip((sandbox, also), both, strict=True):
            work = {"target": one.run, "args": ("c", ["sh", "-c", script], ran), "kwargs": {"seconds": 20}}
            threads.append(threading.Thread(**work))  # type: ignore[arg-type]
            threads[-1].start()
            eventually(lambda ran=ran: ran.text() == "first\n")  # type: ignore[misc]

        sandbox.write("go_on", b"")

        for thread in threads:
            thread.join(10)
        assert [ran.text() for ran in both] == ["first\nsecond\n"] * 2
        assert sandbox.read("count", most=10) == b"x\n"
        sandbox.close()

    def test_limits_end_a_command_and_say_which(self, sandbox: Sandbox) -> None:
        eat = "head -c 2000000000 /dev/zero | tail"

        assert run(sandbox, "sleep 60", seconds=0.3).exit == Exit(code=None, reason="time")
        assert run(sandbox, "for i in $(seq 100); do sleep 60 & done; wait").exit == Exit(None, "processes")
        assert run(sandbox, eat).exit in {Exit(None, "memory"), Exit(1)}  # ended, or told that there is no more

    def test_a_file_has_a_largest_size(self, sandbox: Sandbox) -> None:
        assert run(sandbox, "head -c 20000000 /dev/zero > big").exit != Exit(code=0)
        assert int(run(sandbox, "stat -c %s big").text()) <= SPEC.file_mb * 1024 * 1024
        with pytest.raises(OSError, match="larger"):
            sandbox.write("big2", b"x" * 11 * 1024 * 1024)

    def test_the_files_together_have_a_largest_size(self, sandbox: Sandbox) -> None:
        fill = "i=0; while true; do head -c 5000000 /dev/zero > f$i || exit 7; i=$((i+1)); sleep 0.05; done"

        assert run(sandbox, fill, seconds=60).exit in {Exit(None, "disk"), Exit(7)}
        assert run(sandbox, "rm -f f*; sleep 1.5; echo room").text() == "room\n"

    def test_more_output_than_is_kept_is_cut(self, sandbox: Sandbox) -> None:
        ran = run(sandbox, "head -c 30000000 /dev/zero | tr '\\0' x")

        assert ran.exit == Exit(code=0, output_cut=True)
        assert 1_000_000 < len(ran.text()) < 20_000_000

    def test_what_a_command_leaves_running_ends_with_it(self, sandbox: Sandbox) -> None:
        started = time.monotonic()

        run(sandbox, "(while true; do date >> ticks; sleep 0.05; done) & setsid sleep 300 & exit 0")

        assert time.monotonic() - started < ENDS_SECONDS
        size = len(sandbox.read("ticks", most=10**6)) if "ticks" in run(sandbox, "ls").text() else 0
        time.sleep(0.2)
        assert size == (len(sandbox.read("ticks", most=10**6)) if size else 0)

    def test_another_thread_may_end_a_command(self, sandbox: Sandbox) -> None:
        ran = Ran()
        script = "trap '' TERM INT HUP; echo began; sleep 60; sleep 60"
        ended: list[Exit] = []
        work = threading.Thread(
            target=lambda: ended.append(sandbox.run("c", ["sh", "-c", script], ran, seconds=60)),
        )
        work.start()
        eventually(lambda: ran.text() == "began\n")

        sandbox.end("c")
        sandbox.end("unknown")

        work.join(ENDS_SECONDS)
        assert ended == [Exit(code=None, reason="ended")]

    def test_files_are_written_with_their_folders_and_keep_their_permissions(self, sandbox: Sandbox) -> None:
        sandbox.write("a/b/script.sh", b"#!/bin/sh\necho 1\n")
        run(sandbox, "chmod 755 a/b/script.sh; ln -s b/script.sh a/link; chmod 755 a a/b")

        sandbox.write("a/link", b"#!/bin/sh\necho 2\n")

        assert run(sandbox, "a/b/script.sh; test -L a/link; echo $?; ls -A a/b").text() == "2\n0\nscript.sh\n"
        assert sandbox.read("a/link", most=9) == b"#!/bin/sh"

    def test_files_that_are_not_there_or_no_files(self, sandbox: Sandbox) -> None:
        run(sandbox, "mkdir folder; mkfifo pipe; ln -s nowhere broken")

        with pytest.raises(FileNotFoundError):
            sandbox.read("none", most=1)
        with pytest.raises(FileNotFoundError):
            sandbox.read("broken", most=1)
        for path in ("folder", "."):
            with pytest.raises(IsADirectoryError):
                sandbox.read(path, most=1)
            with pytest.raises(IsADirectoryError):
                sandbox.write(path, b"")
        with pytest.raises(PermissionError):
            sandbox.read("pipe", most=1)
        for path in ("pipe/below", "n" * 300, ""):
            with pytest.raises(OSError):
                sandbox.read(path, most=1)
            with pytest.raises(OSError):
                sandbox.write(path, b"")

    def test_what_cannot_be_passed_to_a_command_is_an_error(self, sandbox: Sandbox) -> None:
        for argv, environment in ((["echo", "a\0b"], {}), (["true"], {"A": "b\0--bind\0/\0/machine"})):
            with pytest.raises(SandboxError):
                run(sandbox, argv, environment=environment)

        assert run(sandbox, "test -e /machine; echo $?").text() == "1\n"

    @pytest.mark.parametrize("path", ["../fence", "/etc/passwd", "folder/../../fence", "out/passwd", "out", "up/fence"])
    def test_paths_that_lead_out_are_refused(self, sandbox: Sandbox, path: str) -> None:
        run(sandbox, "mkdir folder; ln -s /etc out; ln -s .. up")

        with pytest.raises(PermissionError):
            sandbox.read(path, most=1)
        with pytest.raises(PermissionError):
            sandbox.write(path, b"")

    def test_leaving_ends_all_and_keeps_the_files(self, provider: SandboxProvider, session_id: UUID) -> None:
        sandbox = provider.obtain(session_id, 1, SPEC)
        work = _in_thread(sandbox, "echo x > file; sleep 60")
        eventually(lambda: run(sandbox, "cat file 2>/dev/null").text() == "x\n")

        sandbox.close()
        sandbox.close()

        work.join(ENDS_SECONDS)
        assert not work.is_alive()
        assert provider.obtain(session_id, 2, SPEC).read("file", most=10) == b"x\n"

    def test_an_earlier_attempt_is_refused_and_its_commands_end(
        self, provider: SandboxProvider, session_id: UUID
    ) -> None:
        early = provider.obtain(session_id, 1, SPEC)
        work = _in_thread(early, "while true; do date >> ticks; sleep 0.05; done", call_id="running")
        eventually(lambda: early.has("running") and run(early, "ls").text() == "ticks\n")

        late = provider.obtain(session_id, 2, SPEC)
        size = late.read("ticks", most=10**6)

        work.join(ENDS_SECONDS)
        assert work.error == "CallRefusedError"
        for refused in (
            lambda: run(early, "true"),
            lambda: early.read("ticks", most=1),
            lambda: early.write("ticks", b""),
            lambda: early.has("running"),
            lambda: early.end("running"),
            lambda: provider.obtain(session_id, 1, SPEC),
        ):
            with pytest.raises(CallRefusedError):
                refused()
        assert not late.has("running"), "nobody knows what it has done"
        early.close()
        assert run(late, "echo here").text() == "here\n"
        assert late.read("ticks", most=10**6) == size

    def test_a_call_that_has_ended_answers_later_attempts(self, provider: SandboxProvider, session_id: UUID) -> None:
        early = provider.obtain(session_id, 1, SPEC)
        run(early, "echo out; exit 5", call_id="ended")
        early.close()

        late = provider.obtain(session_id, 2, SPEC)

        assert late.has("ended")
        again = run(late, "echo other", call_id="ended")
        assert (again.text(), again.exit) == ("out\n", Exit(code=5))

    def test_sandboxes_are_listed_stopped_and_destroyed(self, provider: SandboxProvider, session_id: UUID) -> None:
        def listed() -> list[tuple[int, bool]]:
            return [(info.fence, info.is_running) for info in provider.list() if info.session_id == session_id]

        assert listed() == []
        provider.stop(session_id)
        sandbox = provider.obtain(session_id, 7, SPEC)
        work = _in_thread(sandbox, "echo x > file; sleep 60")
        eventually(lambda: run(sandbox, "cat file 2>/dev/null").text() == "x\n")
        assert listed() == [(7, True)]

        provider.stop(session_id)

        work.join(ENDS_SECONDS)
        assert work.error == "SandboxError"
        assert listed() == [(7, False)]
        with pytest.raises(SandboxError):
            run(sandbox, "true")
        assert provider.obtain(session_id, 8, SPEC).read("file", most=10) == b"x\n"
        provider.destroy(session_id)
        provider.destroy(session_id)
        assert listed() == []
        with pytest.raises(FileNotFoundError):
            provider.obtain(session_id, 9, SPEC).read("file", most=10)


class _Work(threading.Thread):
    error = ""


def _in_thread(sandbox: Sandbox, script: str, call_id: str = "c") -> _Work:
    def work() -> None:
        try:
            run(sandbox, script, call_id=call_id, seconds=60)
        except SandboxError as error:
            thread.error = type(error).__name__

    thread = _Work(target=work)
    thread.start()
    return thread
