import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from actors.coding.agent.agent_sdk.gateway import Gateway
from tests.support.waiting import eventually

BODY = {"tools": [{"name": "bash"}], "messages": []}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


def post(gateway: Gateway, body: Any = BODY, path: str = "/v1/messages?beta=true", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.server_address[1], timeout=20)
    try:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["x-api-key", "authorization"])
def test_a_request_waits_until_it_is_answered(gateway: Gateway, name: str) -> None:
    answers: list[tuple[int, bytes]] = []
    headers = {name: gateway.token, "anthropic-beta": "effort-1"}
    asking = threading.Thread(target=lambda: answers.append(post(gateway, **headers)))
    asking.start()

    request = gateway.take(20)
    assert request is not None
    assert (request.body, request.betas) == (BODY, "effort-1")
    assert not answers
    request.answer(b"event: ping\n\n")
    asking.join()
    assert answers == [(200, b"event: ping\n\n")]
    assert gateway.count == 1


@pytest.mark.parametrize("token", ["", "another", "ünknown"])
def test_nobody_else_on_the_machine_can_ask(gateway: Gateway, token: str) -> None:
    assert post(gateway, **{"x-api-key": token.encode().decode("latin-1")})[0] == 401
    assert gateway.take(0) is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages/count_tokens", BODY),
        ("/v1/organizations", BODY),
        ("/v1/messages", {"messages": []}),
    ],
)
def test_what_is_not_the_conversation_is_refused(gateway: Gateway, path: str, body: Any) -> None:
    assert post(gateway, body, path, **{"x-api-key": gateway.token})[0] == 404
    assert gateway.take(0) is None


def test_each_turn_has_a_token_of_its_own(gateway: Gateway) -> None:
    with Gateway() as another:
        assert another.token != gateway.token
        assert len(gateway.token) > 40


def test_a_wait_can_be_ended_by_another_thread(gateway: Gateway) -> None:
    threading.Timer(0.05, gateway.wake).start()

    assert gateway.take(60) is None


def test_at_its_end_those_who_wait_are_let_go_and_its_port_is_closed() -> None:
    ended = threading.Event()

    def ask(gateway: Gateway) -> None:
        with suppress(http.client.HTTPException, OSError):
            post(gateway, **{"x-api-key": gateway.token})
        ended.set()

    with Gateway() as gateway:
        threading.Thread(target=ask, args=(gateway,)).start()
        eventually(lambda: gateway.count, what="the request")

    assert ended.wait(10)
    eventually(lambda: gateway.socket.fileno() == -1, what="the end of the server")
