"""Findings of `mobvibe doctor` about the database's encoding."""

from bridge.cli import doctor


def test_a_database_whose_encoding_is_not_utf8_is_named() -> None:
    assert list(doctor._encoding("UTF8")) == []

    (finding,) = doctor._encoding("SQL_ASCII")

    assert (finding.state, finding.found) == ("warn", "the database's encoding is SQL_ASCII")
