"""The settings of the web process."""

import pytest

from bridge.settings import SAMPLE_JWT_SECRET, load_settings
from tests.support.malformed import refusal_of


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SUPABASE_URL", "https://a:geheim@x.supabase.co", "SUPABASE_URL holds a name, a password"),
        ("SUPABASE_URL", "geheim", "SUPABASE_URL is not a valid URL"),
        ("PATH_PREFIX", "geheim", "PATH_PREFIX must be a path, such as"),
        ("PATH_PREFIX", "//geheim.example", "PATH_PREFIX must be a path"),
        ("PATH_PREFIX", "/geheim/../x", "PATH_PREFIX must be a path"),
        ("OPEN_SESSIONS_BY_TIER", "geheim", "must be tiers, each once, with their number of sessions"),
        ("OPEN_SESSIONS_BY_TIER", "pro=10,geheim=", "must be tiers"),
        ("OPEN_SESSIONS_BY_TIER", "pro=10,pro=5", "must be tiers"),
        ("OPEN_SESSIONS_BY_TIER", "pro=-1", "must be tiers"),
        ("FORWARDED_ALLOW_IPS", "geheim", "must be addresses or networks, such as"),
        ("FORWARDED_ALLOW_IPS", "127.0.0.1,10.0.0.1/8", "must be addresses or networks, such as"),
        ("SUPABASE_JWT_SECRET", "geheim", "shorter than 32 bytes"),
        ("SUPABASE_JWT_SECRET", SAMPLE_JWT_SECRET, "sample text"),
        ("SUPABASE_JWKS_URL", "geheim.example/keys", "not a valid URL"),
        ("SUPABASE_JWKS_URL", "file:///geheim", "it must begin with https://"),
        ("SUPABASE_JWKS_URL", "https:///geheim", "names no host"),
        ("SUPABASE_JWKS_URL", "https://u:geheim@h/keys", "holds a name, a password or a character"),
        ("SUPABASE_JWKS_URL", "https://h/ge heim", "holds a name, a password or a character"),
    ],
)
def test_a_malformed_setting_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    refusal_of(monkeypatch, name, value, message)


@pytest.mark.parametrize(("written", "prefix"), [("/mobvibe/", "/mobvibe"), ("/", ""), (" /a/b.c ", "/a/b.c")])
def test_a_path_prefix_ends_without_a_slash(monkeypatch: pytest.MonkeyPatch, written: str, prefix: str) -> None:
    monkeypatch.setenv("PATH_PREFIX", written)
    assert load_settings().path_prefix == prefix


@pytest.mark.parametrize(
    "mark", ["DYNO", "K_SERVICE", "RENDER", "RAILWAY_ENVIRONMENT_NAME", "GAE_SERVICE", "VCAP_APPLICATION"]
)
def test_a_platforms_port_comes_first_where_only_that_is_routed(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    monkeypatch.setenv("HEALTH_CHECK_PORT", "8080")
    monkeypatch.setenv("PORT", "5200")
    assert (load_settings().http_port, load_settings().bind_host) == (8080, "127.0.0.1")

    monkeypatch.setenv(mark, "web.1")
    assert (load_settings().http_port, load_settings().bind_host) == (5200, "0.0.0.0")  # noqa: S104 -- compared

    monkeypatch.setenv("BIND_HOST", "::")
    assert load_settings().bind_host == "::"

    monkeypatch.delenv("PORT")
    monkeypatch.delenv("BIND_HOST")
    assert (load_settings().http_port, load_settings().bind_host) == (8080, "127.0.0.1")
