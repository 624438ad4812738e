"""A coding session to begin with."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import click

from bridge.signals import StopSignal
from bridge.up.web_process import WebProcess

PROJECT = UUID("00000000-0000-4000-8000-000000000002")
ORDER = {
    "projectId": str(PROJECT),
    "prompt": "Say hello.\n```sh\necho Hello from the MobVibe bridge\n```",
}


def send_sample(
    web: WebProcess, token: str, began: float, stop: StopSignal, wait: Callable[[Callable[[], bool]], bool]
) -> None:
    """Send it and say how it ended. `wait` is False when the condition is not met in time, or before a stop."""
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
