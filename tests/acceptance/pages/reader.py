"""A reader who follows a page: types its commands, saves its files, and opens another terminal when one is taken."""

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.processes import Process
from tests.support.commands import PLAIN
from tests.support.pages import blocks

# Commands that go on until Ctrl-C, and what they print when the reader may go on.
STAYING: Mapping[str, str] = {
    "make run": "Ctrl-C stops everything",
    "mobvibe up": "Ctrl-C stops everything",
    "dramatiq actors -p 2 -t 4": "Worker ready",
    "honcho start": "Worker ready",
}
SHELL = {"sh", "bash", "console"}
_FILE = re.compile(r"# ([\w/]+\.py)\n")
_REMARK = re.compile(r"\s+# .*")


@dataclass
class Reader:
    """Starts in `folder`. `known`: what stands for a placeholder of the page. `left_out`: what is not typed here."""

    folder: Path
    environment: dict[str, str]
    known: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    seconds: float = 120.0
    typed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    running: list[Process] = field(default_factory=list)

    def follow(self, page: Path) -> None:
        for block in blocks(page):
            code = block.code
            for placeholder, value in self.known.items():
                code = code.replace(placeholder, value)
            if block.language in SHELL:
                self._type(code)
            elif block.language == "python" and (name := _FILE.match(code)):
                self._save(name[1], code)

    def end_all(self) -> None:
        for process in reversed(self.running):
            process.end()

    def run(self, code: str) -> str:
        """What the commands print. What they change, the folder and variables, holds for the next ones."""
        script = f"set -e\n{self._resume()}\n{code}\nexport -p > {self._state}\necho cd \"'$PWD'\" >> {self._state}\n"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=PLAIN | self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=self.seconds, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    @property
    def _state(self) -> Path:
        return self.folder.with_name("terminal.sh")

    def _resume(self) -> str:
        return f". {shlex.quote(str(self._state))}" if self._state.exists() else ":"

    def _save(self, name: str, code: str) -> None:
        target = Path(self.run("pwd").strip()) / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(code)

    def _type(self, code: str) -> None:
        waiting: list[str] = []
        for line in code.splitlines():
            command = _REMARK.sub("", line)
            if command in self.left_out:
                self.skipped.append(command)
            elif command in STAYING:
                self._enter(waiting)
                self._start(command)
            else:
                waiting.append(line)
        self._enter(waiting)

    def _enter(self, lines: list[str]) -> None:
        if lines:
            self.run("\n".join(lines))
            self.typed += lines
            lines.clear()

    def _start(self, command: str) -> None:
        """The command keeps its terminal. The next one begins in the reader's folder, with the same variables."""
        log = self.folder.with_name(f"staying.{len(self.running)}.log")
        line = f"{self._resume()}; exec {command}"
        process = Process(["bash", "-c", line], self.folder, self.environment, log)
        self.running.append(process)
        self.typed.append(command)
        process.wait_for(STAYING[command], self.seconds)
        self.run(f"cd {shlex.quote(str(self.folder))}")
