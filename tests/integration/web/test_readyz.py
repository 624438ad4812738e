"""/readyz."""

from flask.testing import FlaskClient

from tests.support.rows import Rows


def test_a_ready_process_answers_200(client: FlaskClient, redis_url: str) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json) == (
        200,
        {
            "status": "ready",
            "checks": {"postgres": "ok", "schema": "ok", "redis": "ok"},
            "redis": "Sentinel" if "sentinel" in redis_url else "single server",
        },
    )


def test_stores_that_do_not_answer_are_named(cut_off: FlaskClient) -> None:
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
