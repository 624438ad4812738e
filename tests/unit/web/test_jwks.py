"""Published keys: requests never wait for them, they are read once a minute at most, and kept while they cannot be.

Rows of docs/reference/security.md: S5.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from bridge.web.jwks import KEPT_SECONDS, LEAST_SECONDS, Jwks, KeysUnavailableError
from bridge.web.jwks_endpoint import JwksError
from tests.support.jwks_server import SigningKey
from tests.support.waiting import eventually

OLD, NEW = (jwt.PyJWK(SigningKey(kid).published()) for kid in ("old", "new"))


class Endpoint:
    """Answers when `go` is set, with `keys`, or fails while there are none."""

    def __init__(self) -> None:
        self.keys: dict[str, jwt.PyJWK] | None = {"old": OLD}
        self.reads = self.at_once = self.at_once_most = 0
        self.go = threading.Event()
        self.go.set()
        self.now = 0.0
        self.jwks = Jwks("x", self.read, lambda: self.now)

    def read(self, _address: str) -> dict[str, jwt.PyJWK]:
        self.reads += 1
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        self.go.wait(10)
        self.at_once -= 1
        if self.keys is None:
            raise JwksError("it is down")
        return self.keys

    def state(self, kid: str) -> str:
        try:
            key = self.jwks.key(kid)
        except KeysUnavailableError as error:
            return f"unavailable {error.retry_after}"
        return "none" if key is None else "found"

    def settle(self, kid: str = "old") -> str:
        eventually(lambda: self.state(kid) != "unavailable 1", what="a read that has ended")
        return self.state(kid)


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


def test_a_request_does_not_wait_for_the_first_read(endpoint: Endpoint) -> None:
    endpoint.go.clear()

    assert endpoint.state("old") == "unavailable 1"
    endpoint.go.set()
    assert endpoint.settle() == "found"


def test_an_unknown_key_is_looked_for_once_a_minute_whatever_comes(endpoint: Endpoint) -> None:
    assert endpoint.settle() == "found"
    assert {endpoint.state(f"unheard-of-{number}") for number in range(1000)} == {"none"}
    assert endpoint.reads == 1

    for minute in range(1, 4):
        endpoint.now += LEAST_SECONDS
        assert endpoint.state("new") == "unavailable 1"
        assert endpoint.settle("new") == "none"
        assert endpoint.state("another") == "none"
        assert endpoint.reads == 1 + minute


def test_a_new_key_serves_after_one_read_and_a_withdrawn_one_no_more(endpoint: Endpoint) -> None:
    endpoint.settle()
    endpoint.keys = {"new": NEW}
    endpoint.now += LEAST_SECONDS

    assert endpoint.state("new") == "unavailable 1"
    assert endpoint.settle("new") == "found"
    assert endpoint.state("old") == "none"


def test_known_keys_serve_while_a_read_hangs_and_no_other_one_begins(endpoint: Endpoint) -> None:
    endpoint.settle()
    endpoint.go.clear()
    endpoint.now += LEAST_SECONDS

    with ThreadPoolExecutor(8) as threads:
        states = set(threads.map(endpoint.state, ["new"] * 50))
    endpoint.now += 10 * LEAST_SECONDS

    assert states == {endpoint.state("new")} == {"unavailable 1"}
    assert endpoint.state("old") == "found"
    assert (endpoint.reads, endpoint.at_once_most) == (2, 1)
    endpoint.go.set()


def test_known_keys_serve_while_the_endpoint_is_down_then_none_does(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.settle()
    endpoint.keys = None
    endpoint.now += LEAST_SECONDS
    assert endpoint.state("new") == "unavailable 1"
    assert endpoint.settle("new") == f"unavailable {LEAST_SECONDS:.0f}"
    assert "it is down" in caplog.text

    assert endpoint.state("old") == "found"
    endpoint.now = KEPT_SECONDS
    assert endpoint.state("old") == "found"
    endpoint.now += 1
    assert endpoint.state("old").startswith("unavailable")

    endpoint.keys = {"old": OLD}
    endpoint.now += LEAST_SECONDS
    assert endpoint.settle() == "found"
