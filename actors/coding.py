"""The actor `run_coding_session`: runs the shell blocks of a session's prompt in the session's workspace."""

import logging
import re
from typing import Any

from actors.shell import Limits, Results, ShellRun
from bridge import Fail, Job, actor
from bridge.broker import connected_settings
from bridge.errors import BridgeError

logger = logging.getLogger(__name__)

_OPENS = re.compile(r" {0,3}```sh[ \t]*\r?")
_CLOSES = re.compile(r" {0,3}```[ \t]*\r?")
_BLOCK_BYTES = 128 * 1024 - 1  # Linux limits each argument of a program to 128 kB (MAX_ARG_STRLEN), with its end byte
_SHOWN_CHARACTERS = 200  # of the command in each event: enough to recognize it, and the prompt has it in full
_NO_SANDBOX = "run_coding_session runs commands on this machine, without a sandbox"


class ScriptFailedError(BridgeError):
    """A block ended with an exit code other than 0, or exceeded a limit."""


def run_coding_session(job: Job) -> dict[str, Any]:
    """Run the ```sh blocks of the prompt in order. The first block that fails ends the attempt as failed.

    Emits the output as `terminal` events while it is written, and at the end a `completion` event with the exit codes.
    """
    settings = connected_settings()
    if settings.is_production:
        raise Fail(f"{_NO_SANDBOX}: production refuses it")
    blocks = _blocks_to_run(job.prompt or "")
    # The id is a UUID, so the path cannot leave the folder of workspaces.
    workspace = (settings.workspaces / str(job.session_id or job.id)).resolve()
    workspace.mkdir(parents=True, exist_ok=True)
    limits = Limits(
        seconds=settings.sandbox_timeout_ms / 1000,
        memory_mb=settings.sandbox_memory_mb,
        processes=settings.sandbox_processes,
        file_mb=settings.sandbox_file_mb,
    )
    variables = {
        "MOBVIBE_JOB_ID": str(job.id),
        "MOBVIBE_FENCE": str(job.fence),
        "MOBVIBE_SESSION_ID": str(job.session_id or ""),
    }

    def on_output(block: int, stream: str, text: str) -> None:
        command = blocks[block].strip()[:_SHOWN_CHARACTERS]
        job.emit("terminal", {"command": command, "output": text, "stream": stream, "block": block})

    with ShellRun(blocks, workspace, limits, variables, on_output) as run:
        results = run.wait()
    return _complete(job, results, scripts=len(blocks))


def _blocks_to_run(prompt: str) -> list[str]:
    """Raises Fail for a prompt without blocks, and for a block that is too large to run."""
    blocks = shell_blocks(prompt)
    if not blocks:
        raise Fail(
            "the prompt holds no ```sh block, and this actor of the development fleet runs nothing else: "
            "give the prompt to an actor of your own, or add a block"
        )
    for number, block in enumerate(blocks, 1):
        if len(block.encode()) > _BLOCK_BYTES:
            raise Fail(f"block {number} is larger than 128 kB")
    return blocks


def register() -> None:
    """Declare the actor, except in production: there its jobs wait for an actor of the same name with a sandbox."""
    if connected_settings().is_production:
        logger.warning(
            "%s: in production it is not registered, and its jobs wait. "
            "Declare an actor of that name in a package of your own: ACTORS_MODULE=…",
            _NO_SANDBOX,
        )
        return
    # Without a time limit of Dramatiq: the warden enforces SANDBOX_TIMEOUT_MS, and also ends the processes.
    actor(queue_name="coding", max_retries=3, time_limit=float("inf"))(run_coding_session)


register()


def shell_blocks(prompt: str) -> list[str]:
    """The closed ```sh blocks of a prompt, in order."""
    blocks: list[str] = []
    inside: list[str] | None = None
    for line in prompt.split("\n"):  # a regular expression for whole blocks would take quadratic time
        if inside is None:
            inside = [] if _OPENS.fullmatch(line) else None
        elif _CLOSES.fullmatch(line):
            blocks.append("".join(text.removesuffix("\r") + "\n" for text in inside))
            inside = None
        else:
            inside.append(line)
    return blocks


def _complete(job: Job, results: Results, *, scripts: int) -> dict[str, Any]:
    """Emit the completion event and return the job's result. Raises ScriptFailedError when a block failed."""
    codes = results.exit_codes
    problem = None
    if results.broken_limit is not None:
        problem = f"block {len(codes)} broke the limit on {results.broken_limit}"
    elif codes and codes[-1] != 0:
        problem = f"block {len(codes)} ended with exit code {codes[-1]}"
    elif len(codes) < scripts:
        problem = f"block {len(codes) + 1} ended without an exit code: its process was killed"
    summary: dict[str, Any] = {"exitCodes": codes, "success": problem is None}
    if problem:
        summary["message"] = problem
    if results.output_cut:
        summary["outputCut"] = True
    job.emit("completion", summary)
    if problem is not None:
        raise ScriptFailedError(problem)
    return summary
