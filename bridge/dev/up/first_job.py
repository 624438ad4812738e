"""The first job of a project: how to send it, and a sample job when the actor for coding sessions runs."""

import json
import shlex
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import click

from bridge.dev.up.web_process import WebProcess
from bridge.logs.terminal import visible
from bridge.postgres.link import Link
from bridge.runtime.signals import StopSignal

SAMPLE_ACTOR = "run_coding_session"
PROJECT = UUID("00000000-0000-4000-8000-000000000002")
ORDER = {
    "projectId": str(PROJECT),
    "prompt": "Say hello.\n```sh\necho Hello from the MobVibe bridge | tee hello.txt\n```",
}
_NAMED_MOST = 10  # actors: fits into a line or two


def announced_actors(database_url: str) -> list[str]:
    """The names of the actors that live workers have registered, sorted."""
    link = Link(database_url, "up")
    workers = link.call("list_workers")
    link.close()
    return sorted({name for row in workers if row["live"] for name in row["actors"]})


def how_to_send_one(actors: list[str], address: str, token: str) -> str:
    """The command that sends a first job, as a text indented by two spaces."""
    if SAMPLE_ACTOR in actors:
        return f"""  Start a coding session:

  curl -X POST {address}/functions/v1/start-coding-session \\
    -H 'Authorization: Bearer {token}' \\
    -H 'Content-Type: application/json' \\
    -d '{json.dumps(ORDER)}'"""
    if not actors:
        return "  The workers announce no actor: declare one with @actor in your actors package, and start again."
    named = ", ".join(actors[:_NAMED_MOST]) + (", …" if len(actors) > _NAMED_MOST else "")
    command = f"mobvibe jobs send --actor {shlex.quote(actors[0])} --payload '{{}}'"
    return visible(f"  Actors: {named}. Send one a job, from this folder: {command}")


def send_sample(
    web: WebProcess, token: str, began: float, stop: StopSignal, wait: Callable[[Callable[[], bool]], bool]
) -> None:
    """Send the sample job and print how it ended. `wait(condition)` is False after its time limit or a stop signal."""
    status, answer = web.ask("/functions/v1/start-coding-session", ORDER, token)
    if status != 201:  # noqa: PLR2004
        click.echo(f"  The sample job was refused: {answer.get('error', status)}", err=True)
        return
    data = answer["data"]
    path = f"/functions/v1/get-session-status?sessionId={data['sessionId']}"
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        ended.update(web.ask(path, token=token)[1].get("data", {}))
        return ended.get("status") in ("completed", "failed")

    if wait(has_ended):
        took = time.monotonic() - began
        click.echo(f"  Sample job {data['jobId']} {ended['status']}, {took:.1f} s after the start\n")
    elif not stop.is_set():
        click.echo(f"  The sample job {data['jobId']} has not ended yet: see mobvibe doctor", err=True)
