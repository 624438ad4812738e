"""Names that are set and mean nothing here: said, with what may have been meant."""

from pathlib import Path

import pytest

from bridge.settings import given_names, likely_typos


def test_names_are_those_of_the_environment_and_of_the_env_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "1")
    (tmp_path / ".env").write_text("# NO_NAME=1\nexport FROM_FILE=1\n  SPACED = 2\nlower=3\n")

    assert {"FROM_OUTSIDE", "FROM_FILE", "SPACED"} <= set(given_names())
    assert not {"NO_NAME", "lower"} & set(given_names())


def test_a_similar_setting_is_suggested_for_an_unknown_name() -> None:
    assert likely_typos(["POLL_INTERVAL_SEC", "DATABASE_URI", "PATH", "HOME", "POLL_INTERVAL_MS", "IS_SANDBOX"]) == [
        ("DATABASE_URI", "DATABASE_URL"),
        ("POLL_INTERVAL_SEC", "POLL_INTERVAL_MS"),
    ]


def test_variables_of_the_node_worker_and_of_files_are_known() -> None:
    given = ["PATH", "WORKER_ID", "JOB_TIMEOUT_MS", "LOG_PRETTY", "LOG_LEVEL", "DATABASE_URL_FILE", "GIT_TOKEN_FILE"]

    assert likely_typos(given) == []
    assert likely_typos(["DATABASE_URI_FILE"]) == [("DATABASE_URI_FILE", "DATABASE_URL_FILE")]
