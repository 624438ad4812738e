"""The support bundle: what it has, and that no secret and no text of a user is in it.

Rows of docs/reference/security.md: S18.
"""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from bridge.errors import PostgresUnavailableError
from bridge.postgres.link import Link
from bridge.settings import Settings
from bridge.support.bundle import bundle_name, make_bundle
from tests.support.rows import Rows
from tests.support.steps import Steps

CANARY = "Zq7-canary"


def unpacked(packed: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(packed)) as bundle:
        assert bundle.testzip() is None
        return {name: json.loads(bundle.read(name)) for name in bundle.namelist()}


def made(settings: Settings, call: Callable[..., Any]) -> dict[str, Any]:
    return unpacked(make_bundle(settings, call, lambda: [{"check": "redis", "found": f"redis://:{CANARY}@cache/0"}]))


def test_it_has_what_is_needed_to_help(settings: Settings, link: Link, rows: Rows, steps: Steps) -> None:
    steps.add_worker(slots=3)
    for number in range(3):
        rows.add_job(status="failed", error_message=f"TimeoutError: after {number} s", completed_at="now")
    rows.all("SELECT pause_queue('reports', 'ann')")

    found = made(settings, link.call)

    assert set(found) == {f"{n}.json" for n in ("versions", "settings", "checks", "queues", "workers", "errors")}
    assert found["versions.json"]["database"]["version"] == 12
    assert found["versions.json"]["dramatiq"]
    assert found["settings.json"]["values"]["LEASE_MS"] == settings.lease_ms
    assert found["checks.json"] == [{"check": "redis", "found": "redis://:***@cache/0"}]
    assert [(row["queue"], row["failed"]) for row in found["queues.json"]["counts"]] == [("coding", 3)]
    assert list(found["queues.json"]["paused"]) == ["reports"]
    assert [row["slots"] for row in found["workers.json"]] == [3]
    assert [(row["kind"], row["jobs"]) for row in found["errors.json"]] == [("TimeoutError", 3)]
    assert bundle_name().endswith("Z.zip")


def test_no_secret_and_no_text_of_a_person_is_in_it(settings: Settings, link: Link, rows: Rows, dsn: str) -> None:
    secrets = ("supabase_jwt_secret", "supabase_service_role_key", "dashboard_password", "dashboard_reader_password")
    planted = settings.model_copy(update={name: SecretStr(f"{CANARY} {name}") for name in secrets})
    planted = planted.model_copy(update={"redis_url": SecretStr(f"redis://:{CANARY}-redis@127.0.0.1:9/0")})
    session = rows.add_session(initial_prompt=CANARY)
    rows.all("INSERT INTO session_events (session_id, event_type, data) VALUES (%s, %s, %s)",
             [session, CANARY, Jsonb({"output": CANARY})])  # fmt: skip
    for error in (
        CANARY,
        f"ValueError: {CANARY}",
        f"postgresql://u:{CANARY}@h/d",
        f"{CANARY}: x",
        "Zq7canary",
        "Zq7canary: x",
        None,
    ):
        job = rows.add_job(session_id=session, prompt=CANARY, payload={CANARY: CANARY}, status="failed",
                           error_message=error, completed_at="now")  # fmt: skip
    rows.all("UPDATE coding_jobs SET result = %s", [Jsonb(CANARY)])
    rows.all("SELECT retry_job(%s, 'ann', %s), pause_queue('reports', 'ann', %s)", [job, CANARY, CANARY])
    rows.all(
        "INSERT INTO workers (id, name, slots, queues, actors, version, lease_expires_at)"
        " VALUES (gen_random_uuid(), %s, 1, '{}', '{}', '1', now())", [f"redis://:{CANARY}@host:7"]
    )  # fmt: skip

    found = json.dumps(made(planted, link.call))

    assert "Zq7" not in found
    assert str(conninfo_to_dict(dsn)["password"]) not in found


def test_without_postgres_it_is_made_all_the_same(settings: Settings) -> None:
    def call(*_: Any) -> Any:
        raise PostgresUnavailableError("Postgres does not answer at postgresql://app:geheim@db")

    found = made(settings, call)

    assert found["workers.json"] == {"unavailable": "Postgres does not answer at postgresql://app:***@db"}
    assert found["versions.json"]["dramatiq"]
    assert found["settings.json"]["values"]
