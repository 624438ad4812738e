"""Values of settings with a unit."""

import pytest

from bridge.settings import load_settings


@pytest.mark.parametrize(("text", "milliseconds"), [("250", 250), ("250ms", 250), ("10s", 10_000), ("2m", 120_000)])
def test_durations_may_carry_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, milliseconds: int) -> None:
    monkeypatch.setenv("POLL_INTERVAL_MS", text)

    assert load_settings().poll_interval_ms == milliseconds
