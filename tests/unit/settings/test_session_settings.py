"""The settings of coding sessions."""

import pytest

from bridge.settings import load_settings
from tests.support.malformed import refusal_of


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ANTHROPIC_API_KEY", "geheim and more", "holds a blank"),
        ("ANTHROPIC_API_KEY", "gehe\u0131m", "not ASCII"),
        ("ANTHROPIC_BASE_URL", "geheim.example", "must be an address such as"),
        ("ANTHROPIC_BASE_URL", "https://user:geheim@gateway.example", "without user and password"),
        ("AGENT", "robot", "AGENT must be one of"),
        (
            "SANDBOX_NETWORK",
            "pypi.org,https://geheim.example",
            "SANDBOX_NETWORK must be names of hosts, without https://",
        ),
        ("SANDBOX_NETWORK", "geheim.example:443", "SANDBOX_NETWORK must be names of hosts"),
        ("GIT_HOSTS", "github.com,https://geheim.example", "GIT_HOSTS must be names of hosts, without https://"),
        ("GIT_HOSTS", "geheim.example/owner", "GIT_HOSTS must be names of hosts"),
        ("GIT_HOSTS", "*.geheim.example", "GIT_HOSTS must be names of hosts"),
        ("GIT_HOSTS", "geheim.example:0", "GIT_HOSTS must be names of hosts"),
        ("GIT_TOKEN", "geheim and more", "holds a blank"),
        ("SANDBOX_NETWORK", "*", "SANDBOX_NETWORK must be names of hosts"),
    ],
)
def test_a_malformed_setting_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    refusal_of(monkeypatch, name, value, message)


def test_hosts_of_sandboxes_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().sandbox_hosts == ()

    monkeypatch.setenv("SANDBOX_NETWORK", "pypi.org, *.example.org,")

    assert load_settings().sandbox_hosts == ("pypi.org", "*.example.org")


def test_hosts_to_clone_from_are_written_as_addresses_give_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().hosts_to_clone_from == ()

    monkeypatch.setenv("GIT_HOSTS", "GitHub.com, gitlab.com:443,git.example.org:8443,")

    assert load_settings().hosts_to_clone_from == ("github.com", "gitlab.com", "git.example.org:8443")
