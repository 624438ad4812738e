"""The agent's stream: CPU and events for each delta, how soon the first is sent, how soon a silent turn is cancelled.

`python -m bench.sessions_agent`: takes two minutes, asks a fake Messages API in a process of its own. `--agent
claude-agent-sdk` measures that one, with what Claude Code takes beside the worker.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# The package of actors connects to the stores when it is imported, and nothing here uses one.
os.environ.setdefault("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:9/0")

import psutil

from actors.coding.agent.agent_sdk.command import find_program
from actors.coding.agent.agent_sdk_loop import AgentSdkLoop
from actors.coding.agent.claude_loop import ClaudeLoop
from actors.coding.agent.deltas import EventStream
from actors.coding.agent.runner import AgentRunner
from actors.coding.redact.known import KnownSecrets
from actors.coding.redact.redactor import Redactor
from bridge import NotOursError
from tests.support.stage import Stage
from tests.support.waiting import eventually

_RATE = 80  # deltas a second
_DELTAS = 1000  # of one answer; a piece is 12 characters
_FLUSH_SECONDS = 0.05  # as EVENT_FLUSH_MS
_KNOWN = KnownSecrets(["made-up-secret-1", "made-up-secret-2"])
_CANCELS = 40  # turns
AGENTS: Mapping[str, Callable[[str], AgentRunner]] = {
    "claude": lambda url: ClaudeLoop("key", url),
    "claude-agent-sdk": lambda url: AgentSdkLoop(find_program() or Path("claude"), "key", url),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sessions_agent", description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--agent", choices=[*AGENTS], default="claude")
    options = parser.parse_args()
    agent = AGENTS[options.agent]
    before = memory_mb()
    answer = {"blocks": [{"text": "x" * 12 * _DELTAS}], "delay": 1 / _RATE, "stamped": True}
    silent = {"blocks": [{"text": "Hello there"}], "silent_after": 4, "faulty": 1_000_000}
    with tempfile.TemporaryDirectory() as folder:
        with fake(Path(folder), [answer]) as url:
            turn(agent(url), Path(folder))  # imports and connects
            print(f"memory: {before:.0f} MB, and {memory_mb():.0f} MB after the first turn of the process")
            show([turn(agent(url), Path(folder)) for _ in range(options.turns)])
        with fake(Path(folder), [silent]) as url:
            took = sorted(cancel(agent(url), Path(folder)) for _ in range(_CANCELS))
    print(f"cancel, model silent: p50 {took[len(took) // 2]:.1f} ms, p95 {took[int(len(took) * 0.95)]:.1f} ms")


@contextmanager
def fake(folder: Path, replies: list[dict[str, Any]]) -> Iterator[str]:
    script = folder / "script.json"
    script.write_text(json.dumps(replies))
    command = [sys.executable, "-m", "tests.support.fake_anthropic", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def turn(agent: AgentRunner, folder: Path) -> dict[str, float]:
    """CPU for a delta, events for 1,000, the wait of the first delta, and the 95th percentile of all, in ms.

    And what the turn took until its first delta, in ms, and beside the worker: CPU for a delta, and MB.
    """
    sent: list[tuple[float, str]] = []

    def emit(event_type: str, data: Any) -> None:
        if event_type == "text":
            sent.append((time.monotonic(), data["text"]))

    stage = Stage(folder, "Hello?")
    began = time.monotonic()
    with EventStream(emit, lambda: None, lambda: Redactor(_KNOWN), flush_seconds=_FLUSH_SECONDS) as events:
        cpu, beside = time.process_time(), Beside()
        stage.run(agent, events=events)
        cpu = time.process_time() - cpu
        beside.end()
    # Each piece says when the API sent it. The redactor may cut one in two; what is left of it is no number of today.
    waits = [(at - float(piece)) * 1000 for at, text in sent for piece in text.split() if len(piece) > 8]  # noqa: PLR2004
    return {
        "cpu": cpu / _DELTAS * 1000,
        "events": len(sent) / _DELTAS * 1000,
        "first": waits[0],
        "start": (sent[0][0] - began) * 1000,
        "beside": beside.cpu_seconds * 1000,
        "memory": beside.most_mb,
        "p95": statistics.quantiles(waits, n=20)[-1],
    }


def show(turns: list[dict[str, float]]) -> None:
    for name, what, goal in (
        ("cpu", f"CPU for a delta at {_RATE} a second, ms", "goal: 1"),
        ("events", "events for 1,000 deltas", "goal: 200"),
        ("first", "first delta until it is sent, ms", "goal with its storing: 20"),
        ("p95", "any delta until it is sent, p95 of a turn, ms", ""),
        ("start", "from the beginning of a turn to its first delta, ms", ""),
        ("beside", "CPU of a turn beside the worker, ms", ""),
        ("memory", "memory of a turn beside the worker, MB", ""),
    ):
        values = [one[name] for one in turns]
        print(f"{what}: median {statistics.median(values):.2f}, most {max(values):.2f} of {len(values)} turns. {goal}")


def cancel(agent: AgentRunner, folder: Path) -> float:
    """Milliseconds from the cancel of a turn whose model is silent until the turn has ended."""
    stage, cancelled_at = Stage(folder, "Hello?"), []

    def cancel_when_silent() -> None:
        eventually(lambda: stage.waits and stage.shown())
        cancelled_at.append(time.monotonic())
        stage.cancel()

    canceller = threading.Thread(target=cancel_when_silent)
    canceller.start()
    try:
        stage.run(agent)
    except NotOursError:
        ended = time.monotonic()
    canceller.join()
    return (ended - cancelled_at[0]) * 1000


class Beside:
    """Watches the processes that a turn starts, until `end`."""

    def __init__(self) -> None:
        self.most_mb = 0.0
        self._before = self._cpu_of_ended()
        self._others = {child.pid for child in psutil.Process().children()}
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()

    def end(self) -> None:
        self._is_over.set()
        self._watch.join()
        self.cpu_seconds = self._cpu_of_ended() - self._before

    def _look(self) -> None:
        while not self._is_over.wait(0.2):
            with suppress(psutil.NoSuchProcess):
                ours = [child for child in psutil.Process().children() if child.pid not in self._others]
                self.most_mb = max(self.most_mb, sum(child.memory_info().rss for child in ours) / 1e6)

    @staticmethod
    def _cpu_of_ended() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime


def memory_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


if __name__ == "__main__":
    main()
