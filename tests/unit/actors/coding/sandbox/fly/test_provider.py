"""Machines of Fly: the contract of providers, and what stays of lost answers and refusals. The API is a stand-in."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from actors.coding.sandbox.base import SandboxError, SandboxSetupError
from actors.coding.sandbox.fly.api import FlyApi
from actors.coding.sandbox.fly.buckets import Buckets
from actors.coding.sandbox.fly.provider import FlyProvider
from actors.coding.sandbox.sweeper import Sessions, sweep
from tests.support.fake_fly import TOKEN, FakeFly
from tests.support.sandboxes import SPEC, local_provider, run
from tests.unit.actors.coding.sandbox.contract import ProviderContract


def provider_for(
    fly: FakeFly, installation: str = "ours", *, app: str = "app", token: str = TOKEN, most: int = 10
) -> FlyProvider:
    buckets = Buckets() if fly.limited else Buckets(sleep=lambda _: None)
    api = FlyApi(app, token, fly.url, buckets)
    return FlyProvider(api, installation=installation, token=token, image="python:3.12", region="fra", most=most)


@pytest.fixture(autouse=True)
def needs_bubblewrap(tmp_path: Path) -> None:
    local_provider(tmp_path)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.coding.sandbox.fly.api._FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def fly() -> Iterator[FakeFly]:
    with FakeFly(limited=False) as fly:
        yield fly


class TestFlyProvider(ProviderContract):
    @pytest.fixture
    def provider(self, fly: FakeFly) -> FlyProvider:
        return provider_for(fly)


@pytest.mark.parametrize(
    "faults",
    [
        [("create", "500")],
        [("create", "reply lost")],
        [("volume", "reply lost"), ("create", "reply lost")],
        [("create", "capacity"), ("create", "500")],
        [("metadata", "500"), ("metadata", "reply lost")],
    ],
    ids=str,
)
def test_there_is_one_machine_and_one_volume_whatever_gets_lost(fly: FakeFly, faults: list[tuple[str, str]]) -> None:
    session_id = uuid4()
    fly.faults += faults

    sandbox = provider_for(fly).obtain(session_id, 1, SPEC)

    assert run(sandbox, "echo here").text() == "here\n"
    assert (len(fly.alive()), len(fly.volumes), fly.faults) == (1, 1, [])


def test_attempts_that_begin_at_once_have_one_machine(fly: FakeFly) -> None:
    session_id = uuid4()
    with ThreadPoolExecutor(4) as threads:
        work = [threads.submit(provider_for(fly).obtain, session_id, 1, SPEC) for _ in range(4)]

    for one in work:
        assert run(one.result(), "echo here").text() == "here\n"
    assert (len(fly.alive()), len(fly.volumes)) == (1, 1)


@pytest.mark.parametrize("fault", ["500", "reply lost"])
def test_nothing_is_left_of_what_was_destroyed(fly: FakeFly, fault: str) -> None:
    provider, session_id = provider_for(fly), uuid4()
    provider.obtain(session_id, 1, SPEC)
    fly.faults.append(("delete", fault))

    provider.destroy(session_id)

    assert (fly.alive(), fly.volumes, fly.faults) == ([], {}, [])


def test_a_stopped_machine_comes_back_with_its_files(fly: FakeFly) -> None:
    provider, session_id = provider_for(fly), uuid4()
    provider.obtain(session_id, 1, SPEC).write("file", b"x")
    fly.faults += [("stop", "reply lost"), ("start", "500")]

    provider.stop(session_id)
    assert [machine["state"] for machine in fly.alive()] == ["stopped"]

    assert provider.obtain(session_id, 2, SPEC).read("file", most=1) == b"x"
    assert len(fly.alive()) == 1


def test_above_the_most_none_is_made(fly: FakeFly) -> None:
    provider = provider_for(fly, most=1)
    first = uuid4()
    provider.obtain(first, 1, SPEC)

    with pytest.raises(SandboxError, match="1 machines already"):
        provider.obtain(uuid4(), 1, SPEC)

    provider.obtain(first, 2, SPEC)
    assert len(fly.alive()) == len(fly.volumes) == 1


def test_requests_keep_to_the_limits_of_the_api() -> None:
    with FakeFly() as fly:
        provider, session_id = provider_for(fly), uuid4()
        for fence in range(1, 4):
            provider.obtain(session_id, fence, SPEC)
        provider.destroy(session_id)

        assert (len(fly.asked) > 10, fly.refused) == (True, 0)


@pytest.mark.parametrize(("token", "app"), [("wrong", "app"), (TOKEN, "none")])
def test_what_is_set_up_wrong_is_said(fly: FakeFly, token: str, app: str) -> None:
    with pytest.raises(SandboxSetupError, match="check FLY_API_TOKEN and FLY_APP") as raised:
        provider_for(fly, token=token, app=app).check()

    assert "\n" not in str(raised.value)


def test_another_token_opens_no_machine(fly: FakeFly) -> None:
    session_id = uuid4()
    provider_for(fly).obtain(session_id, 1, SPEC)
    stranger = provider_for(fly)
    stranger._token = "guessed"

    with pytest.raises(SandboxError, match="the token is wrong"):
        stranger.obtain(session_id, 2, SPEC)


@pytest.mark.parametrize("hello", [b"\n", b"[]\n", b"{}\n", b'{"token": "x"}\n', b"x" * 300_000])
def test_what_is_no_worker_ends_no_machine(fly: FakeFly, hello: bytes) -> None:
    sandbox = provider_for(fly).obtain(uuid4(), 1, SPEC)
    (machine,) = fly.alive()

    stranger = socket.create_connection(("127.0.0.1", int(machine["config"]["env"]["MOBVIBE_PORT"])), 10)
    with stranger, suppress(OSError):  # it may be closed before it has read all
        stranger.sendall(hello)
        assert b"wrong" in (answer := stranger.recv(100)) or answer == b""

    assert run(sandbox, "echo here").text() == "here\n"


def test_the_token_of_the_api_is_in_no_machine(fly: FakeFly) -> None:
    sandbox = provider_for(fly).obtain(UUID(int=7), 1, SPEC)

    (machine,) = fly.alive()
    assert TOKEN not in str(machine)
    assert run(sandbox, "cat /proc/*/environ | tr '\\0' '\\n' | grep MOBVIBE").text() == ""


def test_machines_and_volumes_of_another_installation_are_left_alone(fly: FakeFly) -> None:
    session_id, provider, other = uuid4(), provider_for(fly, most=1), provider_for(fly, "the other's {database}")
    other.obtain(session_id, 1, SPEC).close()

    assert provider.list() == []
    provider.destroy(session_id)
    assert [info.session_id for info in other.list()] == [session_id]
    assert len(fly.volumes) == 1

    provider.obtain(session_id, 1, SPEC).close()
    assert len(fly.alive()) == len(fly.volumes) == 2


def test_a_sweep_leaves_no_machine_and_no_volume_of_what_is_over(fly: FakeFly) -> None:
    provider, kept = provider_for(fly), uuid4()
    fly.faults += [("volume", "reply lost"), ("create", "reply lost"), ("create", "500"), ("delete", "reply lost")]
    for session_id in (uuid4(), kept, uuid4()):
        provider.obtain(session_id, 1, SPEC)
    sessions, later = Sessions(working=(), kept={kept}), datetime.now(UTC) + timedelta(hours=2)

    sweep(provider, lambda _: sessions, later, idle=timedelta(hours=1), most=10)

    (machine,) = fly.alive()
    assert (machine["config"]["metadata"]["mobvibe_session"], machine["state"]) == (str(kept), "stopped")
    assert len(fly.volumes) == 1 and not fly.faults
