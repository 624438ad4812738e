"""Embedded Postgres: its data and its password stay between starts, and data of another version is left alone."""

from pathlib import Path

import pytest

from bridge.dev.embedded.postgres import EmbeddedPostgres
from bridge.errors import EmbeddedStoreError, PostgresUnavailableError
from bridge.postgres.connect import connect


def test_data_is_kept_between_starts(tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path, {"fsync": "off"})
    first.start()
    with connect(first.url(), "test") as connection:
        connection.execute("CREATE TABLE kept (n integer)")
    with pytest.raises(PostgresUnavailableError):
        connect(first.url().replace("mobvibe:", "mobvibe:x"), "test")
    first.stop()
    assert not first.is_running()

    second = EmbeddedPostgres(tmp_path, {"fsync": "off"})
    second.start()
    try:
        with connect(second.url(), "test") as connection:
            assert connection.execute("SELECT count(*) AS n FROM kept").fetchone() == {"n": 0}
    finally:
        second.stop()


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")

    with pytest.raises(EmbeddedStoreError, match="holds data of Postgres 9, this version runs"):
        EmbeddedPostgres(tmp_path).start()
