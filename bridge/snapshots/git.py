"""Git on a bare repository of ours. It reads nobody's configuration, and runs no hook, no filter, no other program."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any

from bridge.errors import BridgeError

_SECONDS = 120.0  # for a command: the largest bundle takes a few
_BLOCK_BYTES = 512  # the unit of `ulimit -f` in sh
_SHOWN_CHARACTERS = 200  # of what Git says: its first line says what is wrong
_ENVIRONMENT = {
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_AUTHOR_NAME": "mobvibe",
    "GIT_AUTHOR_EMAIL": "mobvibe@localhost",
    "GIT_COMMITTER_NAME": "mobvibe",
    "GIT_COMMITTER_EMAIL": "mobvibe@localhost",
}
_CONFIGURATION = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.compression": "1",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "1",
}


Interruptible = Callable[[Callable[[], None]], AbstractContextManager[Any]]


class GitError(BridgeError):
    """Git is missing, or has refused what it was given. One line."""


class Git:
    """`folder`: the repository. Git never looks for another one, and has no working tree.

    `configuration` is added to ours. It may hold secrets: it is in the environment of these processes, not in their
    arguments. `file_bytes`: no file that Git writes may be larger. `interruptible(end)`: inside the `with`, another
    thread may call `end()`, which ends `run`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        configuration: Mapping[str, str] | None = None,
        file_bytes: int | None = None,
        interruptible: Interruptible = nullcontext,
    ) -> None:
        self._folder = folder
        self._configuration = _CONFIGURATION | dict(configuration or {})
        self._file_bytes = file_bytes
        self._interruptible = interruptible

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """The standard output. Raises GitError."""
        with (
            self._started(arguments, stdout=subprocess.PIPE) as process,
            self._interruptible(lambda: _end(process)),
        ):
            try:
                output, said = process.communicate(stdin, timeout=_SECONDS)
            except subprocess.TimeoutExpired as error:
                raise _failed(arguments, f"it took more than {_SECONDS:.0f} s") from error
        if process.returncode != 0:
            raise _failed(arguments, said.decode(errors="replace"))
        return output

    @contextmanager
    def feed(self, *arguments: str) -> Iterator[IO[bytes]]:
        """Its standard input. When the `with` ends by an exception, Git is ended, too. Raises GitError."""
        with self._started(arguments, stdout=subprocess.DEVNULL) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            try:
                yield process.stdin
                process.stdin.close()
            except BrokenPipeError:
                pass  # it says why below
            said = process.stderr.read().decode(errors="replace")
            if process.wait() != 0:
                raise _failed(arguments, said)

    def answers(self, requests: Iterable[bytes], *arguments: str) -> Iterator[IO[bytes]]:
        """Its standard output once for each request, which is written just before: what it answers must be read."""
        with self._started(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for request in requests:
                process.stdin.write(request)
                process.stdin.flush()
                yield process.stdout

    @contextmanager
    def _started(self, arguments: tuple[str, ...], stdout: int) -> Iterator[subprocess.Popen[bytes]]:
        try:
            process = subprocess.Popen(
                self._command(arguments),
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=subprocess.PIPE,
                env=self._environment(),
                cwd="/",
                start_new_session=True,  # a group of its own, so that what it starts ends with it
            )
        except OSError as error:
            raise _failed(arguments, error) from error
        try:
            yield process
        finally:
            _end(process)
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()
            process.wait()

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        if self._file_bytes is None:
            return ["git", *arguments]
        return ["sh", "-c", 'ulimit -f "$0" && exec git "$@"', str(self._file_bytes // _BLOCK_BYTES), *arguments]

    def _environment(self) -> dict[str, str]:
        environment = {
            **_ENVIRONMENT,
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_DIR": str(self._folder.resolve()),
        }
        for number, (name, value) in enumerate(self._configuration.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        return environment | {"GIT_CONFIG_COUNT": str(len(self._configuration))}


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _failed(arguments: tuple[str, ...], reason: object) -> GitError:
    if isinstance(reason, FileNotFoundError):
        return GitError("git is not installed here: install it, and the next turn saves the workspace")
    lines = str(reason).strip().splitlines() or ["no reason given"]
    return GitError(f"git {arguments[0]} failed: {lines[0][:_SHOWN_CHARACTERS]}")
