"""What commands have in common."""

import getpass

import pytest

from bridge.cli.arguments import operator


def test_who_acts_is_the_user_of_the_machine_or_the_program_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert operator() == getpass.getuser()

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert operator() == "mobvibe"
