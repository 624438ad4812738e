"""The transport, with small programs in the place of Claude Code."""

import asyncio
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.coding.agent.agent_sdk.process import ClaudeCodeProcess, EndedError


def process(folder: Path, script: str) -> ClaudeCodeProcess:
    return ClaudeCodeProcess(["/bin/sh", "-c", script], {"PATH": "/usr/bin:/bin", "OURS": "1"}, str(folder))


async def said(one: ClaudeCodeProcess) -> list[dict[str, Any]]:
    await one.connect()
    await one.write('{"a": 1}\n')
    try:
        return [message async for message in one.read_messages()]
    finally:
        await one.close()


def test_lines_of_json_are_messages_and_others_are_not(tmp_path: Path) -> None:
    one, read = process(tmp_path, 'echo warning; read line; echo "$line"; exec sleep 60'), []

    async def first() -> None:
        await one.connect()
        await one.write('{"a": 1}\n')
        async for message in one.read_messages():
            read.append(message)
            break
        await one.close()

    asyncio.run(first())
    assert read == [{"a": 1}]
    assert not one.is_ready()


def test_a_message_may_be_longer_than_a_buffer(tmp_path: Path) -> None:
    script = """printf '{"a": "'; head -c 3000000 /dev/zero | tr '\\0' x; printf '"}\\n'; exec sleep 60"""
    one = process(tmp_path, script)

    async def first() -> int:
        await one.connect()
        try:
            return len((await anext(aiter(one.read_messages())))["a"])
        finally:
            await one.close()

    assert asyncio.run(first()) == 3_000_000


def test_its_end_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EndedError, match=r"^exit code 3 bad thing$"):
        asyncio.run(said(process(tmp_path, "read line; echo bad >&2; echo thing >&2; exit 3")))


def test_what_it_said_is_the_error_of_a_message_that_it_did_not_take(tmp_path: Path) -> None:
    one = process(tmp_path, "echo bad >&2; exit 3")

    async def write() -> None:
        await one.connect()
        while True:
            await one.write('{"a": 1}\n')

    with pytest.raises(EndedError, match=r"^exit code 3 bad$"):
        asyncio.run(write())


def test_it_has_the_environment_that_it_is_given_alone(tmp_path: Path) -> None:
    os.environ["NOT_OURS"] = "1"
    with pytest.raises(EndedError, match=r"^exit code 0 1,$"):
        asyncio.run(said(process(tmp_path, 'read line; echo "$OURS,$NOT_OURS" >&2')))


def test_it_is_killed_even_if_it_would_not_end(tmp_path: Path) -> None:
    one = process(tmp_path, "trap '' TERM; while true; do sleep 60; done")

    async def close() -> int:
        await one.connect()
        assert one._process is not None
        await one.close()
        return one._process.pid

    assert not psutil.pid_exists(asyncio.run(close()))
