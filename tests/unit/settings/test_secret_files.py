"""Secrets from files: read for every secret setting, with one line for each mistake, which shows nothing of it.

Rows of docs/reference/security.md: S18.
"""

import os
from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.settings import Settings, load_settings
from bridge.settings.secret_files import secret_names

VALUES = {
    "database_url": "postgresql://app:geheim@db/d",
    "listen_database_url": "postgresql://app:geheim@db/d?application_name=x",
    "owners_database_url": "postgresql://postgres:geheim@db/d",
    "redis_url": "redis://:geheim@redis:6379/0",
}


def test_every_secret_setting_is_read_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = secret_names(Settings.model_fields)
    assert {"database_url", "redis_url", "supabase_service_role_key", "anthropic_api_key", "git_token"} <= set(names)
    for name in names:
        (tmp_path / name).write_text(VALUES.get(name, f"geheim-{name}-and-32-characters-long") + "\n")
        monkeypatch.setenv(f"{name.upper()}_FILE", str(tmp_path / name))

    settings = load_settings()

    for name in names:
        wanted = VALUES.get(name, f"geheim-{name}-and-32-characters-long")
        assert getattr(settings, name).get_secret_value() == wanted, name
    assert "geheim" not in repr(settings)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_line_ends_after_a_secret_and_a_mark_of_utf_8_before_it_are_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str, mark: str
) -> None:
    (tmp_path / "key").write_bytes(f"{mark} a b {ending}".encode())
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY_FILE", str(tmp_path / "key"))

    key = load_settings().supabase_service_role_key

    assert key is not None
    assert key.get_secret_value() == " a b "


def test_what_a_file_holds_is_checked_as_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("mysql://u:geheim@h/d")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))

    with pytest.raises(SettingsError, match="^DATABASE_URL begins with mysql://") as raised:
        load_settings()

    assert "geheim" not in str(raised.value)


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("of the file")
    (tmp_path / ".env").write_text(f"FLY_API_TOKEN_FILE={tmp_path / 'key'}\nDASHBOARD_PASSWORD=of .env, long\n")
    (tmp_path / "password").write_text("of the file, long")
    monkeypatch.setenv("FLY_API_TOKEN", "of the environment")
    monkeypatch.setenv("DASHBOARD_PASSWORD_FILE", str(tmp_path / "password"))

    settings = load_settings()

    assert settings.fly_api_token is not None
    assert settings.fly_api_token.get_secret_value() == "of the environment"
    assert settings.dashboard_password is not None
    assert settings.dashboard_password.get_secret_value() == "of the file, long"


@pytest.mark.parametrize("also", ["", "REDIS_URL=redis://other"])
def test_a_file_that_the_env_file_names_is_not_read_where_the_environment_has_the_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, also: str
) -> None:
    (tmp_path / ".env").write_text(f"REDIS_URL_FILE={tmp_path}/only-in-the-container\n{also}\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", "redis://of-the-environment")

    assert load_settings().redis_address() == "redis://of-the-environment"


def no_file(folder: Path) -> str:
    return str(folder / "geheim")


def a_folder(folder: Path) -> str:
    return str(folder)


def a_pipe(folder: Path) -> str:
    os.mkfifo(folder / "geheim")
    return str(folder / "geheim")


def holding(content: bytes) -> "object":
    def written(folder: Path) -> str:
        (folder / "geheim").write_bytes(content)
        return str(folder / "geheim")

    return written


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (no_file, "names a file that cannot be read: No such file or directory"),
        (a_folder, "does not name a file"),
        (a_pipe, "does not name a file"),
        (lambda _: "postgresql://u:geheim@h/d", "names a file that cannot be read"),
        (lambda _: "geheim" * 1000, "names a file that cannot be read: File name too long"),
        (holding(b""), "names a file that is empty"),
        (holding(b" \n"), "names a file that is empty"),
        (holding(b"\xff\xfe"), "names a file that cannot be read: it is not UTF-8 text"),
        (holding(b"geheim" * 20_000), "names a file of more than 64 kB"),
        (holding(b"geheim\nanother"), "names a file of more than one line"),
        (holding(b"\r\ngeheim"), "names a file of more than one line"),
        (holding(b"geheim\x00"), "names a file of more than one line"),
    ],
)
def test_a_file_that_holds_no_secret_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: object, message: str
) -> None:
    assert callable(path)
    monkeypatch.setenv("DATABASE_URL_FILE", path(tmp_path))

    with pytest.raises(SettingsError, match=f"^DATABASE_URL_FILE {message}") as raised:
        load_settings()

    assert "geheim" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_the_right_to_read_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").touch(mode=0)
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "key"))

    with pytest.raises(SettingsError, match="^DATABASE_URL_FILE names a file that cannot be read: Permission denied"):
        load_settings()


@pytest.mark.parametrize("is_in_env_file", [False, True])
def test_a_secret_and_its_file_are_not_both_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_in_env_file: bool
) -> None:
    if is_in_env_file:
        (tmp_path / ".env").write_text("DATABASE_URL=postgresql://h/d\nDATABASE_URL_FILE=/run/secrets/url\n")
    else:
        monkeypatch.setenv("DATABASE_URL", "postgresql://h/d")
        monkeypatch.setenv("DATABASE_URL_FILE", "/run/secrets/url")

    with pytest.raises(SettingsError, match="^DATABASE_URL and DATABASE_URL_FILE are both set: remove one of them$"):
        load_settings()


def test_the_page_about_containers_lists_every_file() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "containers.md").read_text("utf-8")

    assert [name for name in secret_names(Settings.model_fields) if f"`{name.upper()}_FILE`" not in page] == []
