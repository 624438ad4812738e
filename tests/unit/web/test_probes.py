"""What /health and /livez answer."""

from datetime import UTC, datetime

from bridge.web.probes import health, liveness


def test_health_has_exactly_the_promised_keys() -> None:
    answer = health()

    assert list(answer) == ["status", "uptime", "timestamp"]
    assert answer["status"] == "healthy"
    assert answer["uptime"] >= 0
    assert answer["timestamp"].endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(answer["timestamp"])).total_seconds()) < 10


def test_liveness_says_that_the_process_is_alive() -> None:
    assert liveness() == {"status": "alive"}
