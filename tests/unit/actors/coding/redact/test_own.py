"""The secrets of a process come from its settings and its environment."""

from pydantic import SecretStr

from actors.coding.redact.own import own_secrets


def is_known(text: str, **environment: str) -> bool:
    settings = [
        ("database_url", SecretStr("postgresql://app:s3cret%2Fword@h/d")),
        ("dashboard_password", SecretStr("the-password")),
        ("log_level", "information"),
    ]
    return bool(list(own_secrets(settings, environment).find(text)))


def test_secret_settings_are_known_and_passwords_of_addresses_as_written_and_meant() -> None:
    assert all(is_known(text) for text in ("s3cret%2Fword", "s3cret/word", "the-password"))
    assert not any(is_known(text) for text in ("information", "postgresql://app", "database_url"))


def test_variables_are_known_by_their_names_or_as_addresses() -> None:
    variables = {
        "ANTHROPIC_API_KEY": "a-key-of-ours",
        "CACHE": "redis://:cache-password@h",
        "PG": "host=h password='with a space' user=u",
        "SSH_AUTH_SOCK": "/tmp/agent.1234567",
        "SAME": "postgres://mobvibe:mobvibe@h/d",
        "EDITOR": "some-editor",
    }

    assert all(is_known(text, **variables) for text in ("a-key-of-ours", "cache-password", "with a space"))
    assert not any(is_known(text, **variables) for text in ("/tmp/agent.1234567", "some-editor", "mobvibe"))
