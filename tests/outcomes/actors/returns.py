"""Actors that return."""

import sys
from typing import Any

import dramatiq

from bridge import Job, actor

_HUGE = 20_000_000  # characters


def _value(name: str) -> Any:
    loop: list[Any] = []
    loop.append(loop)
    return {
        "nothing": None,
        "an object": {"rows": 7},
        "an object that JSON cannot hold": {"it": object()},
        "a number that JSON cannot hold": {"it": float("nan")},
        "bytes": b"\x00\xff",
        "a generator": (n for n in range(3)),
        "a list that holds itself": loop,
        "a lone surrogate": {"it": "\ud800"},
        "a NUL character": {"it": "a\x00b"},
        "20 MB of text": "x" * _HUGE if name == "20 MB of text" else None,
    }[name]


@actor(max_retries=2)
def returns(job: Job) -> Any:
    return _value(job.payload["value"])


@actor(max_retries=2)
async def returns_async(job: Job) -> Any:
    return _value(job.payload["value"])


@dramatiq.actor(max_retries=2)
def plain_returns(value: str) -> Any:
    return _value(value)


@actor(max_retries=2)
def prints(job: Job) -> None:
    """Print far more than a pipe holds, without an end of line."""
    for _ in range(job.payload["megabytes"]):
        sys.stdout.write("x" * 1_000_000)
        sys.stderr.write("y" * 1_000_000)
