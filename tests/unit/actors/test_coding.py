"""The coding actor: which blocks of a prompt it runs, and which events it emits when they ended."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import dramatiq
import pytest

from actors.coding import ScriptFailedError, register, run_coding_session, shell_blocks
from bridge import Fail, Job
from bridge.broker import connect_broker
from bridge.settings import Settings


@pytest.mark.parametrize(
    ("prompt", "blocks"),
    [
        ("no block", []),
        ("```sh\necho a\n```", ["echo a\n"]),
        ("text\n```sh\necho a\n```\nmore\n```sh\necho b\necho c\n```\n", ["echo a\n", "echo b\necho c\n"]),
        ("```sh  \r\necho a\r\n```\r\n", ["echo a\n"]),
        ("  ```sh\necho a\n  ```", ["echo a\n"]),
        ("```bash\necho a\n```\n```python\nx\n```\n```\ny\n```", []),
        ("```shell\necho a\n```", []),
        ("```sh\nnever closed", []),
        ("```sh\n```", [""]),
        ("text ```sh\necho a\n```", []),
    ],
)
def test_closed_sh_blocks_are_found_in_order(prompt: str, blocks: list[str]) -> None:
    assert shell_blocks(prompt) == blocks


Events = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def events() -> Events:
    return []


@pytest.fixture(autouse=True)
def connected(tmp_path: Path) -> Iterator[None]:
    before = dramatiq.get_broker()
    connect_broker(settings_in(tmp_path))
    yield
    dramatiq.set_broker(before)


def settings_in(folder: Path, **options: Any) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url="postgresql://nobody@127.0.0.1:9/none",  # type: ignore[arg-type]
        redis_url="redis://127.0.0.1:9/0",  # type: ignore[arg-type]
        mobvibe_dir=folder,
        **options,
    )


def job(prompt: str | None, events: Events) -> Job:
    return Job(
        id=uuid4(), session_id=uuid4(), prompt=prompt, fence=2, _emit=lambda kind, data: events.append((kind, data))
    )


def test_output_and_completion_are_events_and_the_result(events: Events) -> None:
    result = run_coding_session(job('Look.\n```sh\necho "$MOBVIBE_FENCE"\n```\n```sh\necho err >&2\n```', events))

    assert result == {"exitCodes": [0, 0], "success": True}
    assert events == [
        ("terminal", {"command": 'echo "$MOBVIBE_FENCE"', "output": "2\n", "stream": "stdout", "block": 0}),
        ("terminal", {"command": "echo err >&2", "output": "err\n", "stream": "stderr", "block": 1}),
        ("completion", {"exitCodes": [0, 0], "success": True}),
    ]


def test_a_session_keeps_its_workspace(events: Events, tmp_path: Path) -> None:
    first = job("```sh\necho kept > file\n```", events)
    run_coding_session(first)
    assert (tmp_path / "workspaces" / str(first.session_id) / "file").read_text() == "kept\n"


def test_a_failed_block_fails_the_attempt_after_its_completion_event(events: Events) -> None:
    with pytest.raises(ScriptFailedError, match="block 2 ended with exit code 3"):
        run_coding_session(job("```sh\ntrue\n```\n```sh\nexit 3\n```\n```sh\ntrue\n```", events))

    message = "block 2 ended with exit code 3"
    assert events == [("completion", {"exitCodes": [0, 3], "success": False, "message": message})]


def test_an_exceeded_limit_is_named(events: Events, tmp_path: Path) -> None:
    connect_broker(settings_in(tmp_path, sandbox_timeout_ms=300))

    with pytest.raises(ScriptFailedError, match=r"block 1 broke the limit on time \(0.3 s\)"):
        run_coding_session(job("```sh\nsleep 60\n```", events))

    assert events[-1][0] == "completion"


@pytest.mark.parametrize("prompt", [None, "", "Please write a poem."])
def test_a_prompt_without_a_block_fails_and_does_not_complete(events: Events, prompt: str | None) -> None:
    with pytest.raises(Fail, match="no ```sh block"):
        run_coding_session(job(prompt, events))

    assert events == []


def test_a_block_that_is_too_large_for_a_shell_is_refused_before_anything_runs(events: Events, tmp_path: Path) -> None:
    prompt = f"```sh\ntouch ran\n```\n```sh\n: {'x' * 128 * 1024}\n```"

    with pytest.raises(Fail, match="block 2 is larger than 128 kB"):
        run_coding_session(job(prompt, events))

    assert not list(tmp_path.rglob("ran"))


def test_many_openings_take_no_time() -> None:
    began = time.monotonic()

    assert shell_blocks("```sh\n" * 100_000) == []

    assert time.monotonic() - began < 2


def test_production_is_refused_before_anything_runs(events: Events, tmp_path: Path) -> None:
    connect_broker(settings_in(tmp_path, node_env="production"))

    with pytest.raises(Fail, match="without a sandbox: production refuses it"):
        run_coding_session(job("```sh\ntouch ran\n```", events))

    assert events == []
    assert not (tmp_path / "workspaces").exists()


@pytest.mark.parametrize(("mode", "actors"), [("production", set()), ("development", {"run_coding_session"})])
def test_only_workers_in_development_have_the_actor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str, actors: set[str]
) -> None:
    broker = connect_broker(settings_in(tmp_path, node_env=mode))

    register()

    assert set(broker.actors) == actors
    assert any("not registered" in line for line in caplog.messages) == (mode == "production")
