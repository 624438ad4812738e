"""`mobvibe config`: what is set, without secrets."""

import json

from tests.support.commands import Run


def test_settings_are_shown_without_their_secrets(run: Run) -> None:
    result = run("config", SUPABASE_SERVICE_ROLE_KEY="geheim", DATABASE_URL="postgresql://u:geheim@h:5432/d")

    assert result.code == 0
    assert "postgresql://u:***@h:5432/d" in result.out
    assert "geheim" not in result.out
    assert "POLL_INTERVAL_MS" in result.out
    assert json.loads(run("config", "--json").out)["LOG_LEVEL"] == "info"
