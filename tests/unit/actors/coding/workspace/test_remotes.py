"""What is cloned from where, with which token, and whether trying again may help."""

from collections.abc import Sequence
from typing import Any

import pytest

from actors.coding.workspace import remotes
from actors.coding.workspace.address import Address, CloneError, HostUnavailableError
from actors.coding.workspace.remotes import Remotes
from bridge import Fail, Retry
from bridge.snapshots.origin import Origin
from tests.support.plain_sandbox import PlainSandbox

TOKEN = "the-token-of-the-installation"
COMMIT = "0123456789" * 4


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Those that were used."""
    used = []

    def clone(_sandbox: Any, _address: Address, *, token: str | None, **_options: Any) -> str:
        used.append(token)
        return COMMIT

    monkeypatch.setattr(remotes, "clone", clone)
    return used


def public(_host: str, _port: int) -> Sequence[str]:
    return ["140.82.121.3"]


def test_the_token_goes_to_the_first_host_alone(sandbox: PlainSandbox, tokens: list[str | None]) -> None:
    given = Remotes(("git.example.com:8443", "github.com", "git.example.com"), TOKEN, resolve=public)
    hosts = ("git.example.com:8443", "GitHub.com", "git.example.com")

    said = [given.clone(sandbox, Origin(f"https://{host}/owner/name.git")) for host in hosts]

    assert tokens == [TOKEN, None, None]
    assert said[0] == "cloned git.example.com:8443/owner/name.git at 0123456789"
    assert TOKEN not in repr(given)


def test_without_hosts_nothing_is_cloned(sandbox: PlainSandbox, tokens: list[str | None]) -> None:
    with pytest.raises(Fail, match=r"^github\.com is not a host to clone from: GIT_HOSTS has none$"):
        Remotes((), TOKEN, resolve=public).clone(sandbox, Origin("https://github.com/owner/name"))
    assert tokens == []


@pytest.mark.parametrize(("raised", "becomes"), [(CloneError("no"), Fail), (HostUnavailableError("not now"), Retry)])
def test_only_what_may_help_is_tried_again(
    sandbox: PlainSandbox, monkeypatch: pytest.MonkeyPatch, raised: CloneError, becomes: type[Exception]
) -> None:
    def fails(*_: Any, **__: Any) -> str:
        raise raised

    monkeypatch.setattr(remotes, "clone", fails)

    with pytest.raises(becomes, match=f"^{raised}$"):
        Remotes(("github.com",), resolve=public).clone(sandbox, Origin("https://github.com/owner/name"))
