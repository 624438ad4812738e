"""What holds for each setting that is malformed: it is named, and what it holds is not shown."""

import pytest

from bridge.errors import SettingsError
from bridge.settings import load_settings

SECRET = "geheim"  # a word of the values that tests give: it may be a password


def refusal_of(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> SettingsError:
    """The error for this value of a setting, which must match `message`."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=message) as raised:
        load_settings()

    assert str(raised.value).startswith(name)
    assert SECRET not in str(raised.value)
    return raised.value
