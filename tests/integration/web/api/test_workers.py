"""The API's file describes every address, and needs the same right as what it describes."""

import re
from typing import Any
from uuid import uuid4

from flask.testing import FlaskClient

from tests.integration.web.api.described import KEY, as_described
from tests.support.rows import Rows
from tests.support.steps import Steps


def _spelled_out(path: str) -> list[str]:
    """The path with each word of an `<any(a, b):action>` in its place."""
    found = re.search(r"<any\(([^)]+)\):\w+>", path)
    return [path.replace(found[0], word) for word in found[1].split(", ")] if found else [path]


def test_the_file_describes_each_address_and_no_other(client: FlaskClient, description: dict[str, Any]) -> None:
    served = {
        (path, method)
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        for path in _spelled_out(re.sub(r"<(?!any)\w+(?:\([^)]*\))?:(\w+)>", r"{\1}", str(rule)))
        if path.startswith(("/api/", "/functions/", "/sessions/{session_id}/archive"))
        and path != "/functions/v1/get-session-status"
    }
    written = {(path, method.upper()) for path, methods in description["paths"].items() for method in methods}

    assert served == written


def test_a_worker_is_drained_and_resumed(
    client: FlaskClient, steps: Steps, rows: Rows, description: dict[str, Any]
) -> None:
    worker = steps.add_worker()

    for action, draining in (("drain", True), ("resume", False)):
        answer = client.post(f"/api/workers/{worker}/{action}", json={"reason": "an upgrade"}, headers=KEY)
        path = f"/api/workers/{{worker_id}}/{action}"
        assert as_described(answer, description, path, "post") == {"draining": draining}
        (found,) = as_described(client.get("/api/workers", headers=KEY), description, "/api/workers")["workers"]
        assert (found["drain_requested_at"] is not None) == draining
    unknown = client.post(f"/api/workers/{uuid4()}/drain", headers=KEY)
    assert unknown.status_code == 404
    assert rows.value("SELECT array_agg(reason) FROM operator_audit") == ["an upgrade"] * 2
