"""/health, /livez and /readyz."""

from datetime import UTC, datetime

from flask.testing import FlaskClient

from tests.support.rows import Rows


def test_health_has_exactly_the_promised_keys(client: FlaskClient) -> None:
    answer = client.get("/health")

    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.json is not None
    assert list(answer.json) == ["status", "uptime", "timestamp"]
    assert answer.json["status"] == "healthy"
    assert 0 <= answer.json["uptime"] < 60
    assert answer.json["timestamp"].endswith("Z")
    timestamp = datetime.fromisoformat(answer.json["timestamp"])
    assert abs((datetime.now(UTC) - timestamp).total_seconds()) < 10


def test_a_ready_process_answers_200(client: FlaskClient) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json) == (
        200,
        {"status": "ready", "checks": {"postgres": "ok", "schema": "ok", "redis": "ok"}},
    )


def test_health_and_liveness_do_not_need_the_stores_and_readiness_names_them(cut_off: FlaskClient) -> None:
    assert cut_off.get("/health").status_code == 200
    assert cut_off.get("/livez").json == {"status": "alive"}

    answer = cut_off.get("/readyz")

    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["status"] == "unavailable"
    assert set(answer.json["checks"]) == {"postgres", "schema", "redis"}
    assert "ok" not in answer.json["checks"].values()
    assert "geheim" not in answer.text


def test_an_old_schema_is_not_ready(client: FlaskClient, rows: Rows) -> None:
    rows.all("CREATE OR REPLACE FUNCTION mobvibe_schema_version() RETURNS integer LANGUAGE sql AS 'SELECT 1'")

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["schema"] == "the database is not migrated, or by another version"
    assert answer.json["checks"]["postgres"] == "ok"
