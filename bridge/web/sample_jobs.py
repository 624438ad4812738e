"""The two buttons of the start page in development: send a test job, and break one on purpose."""

import logging
from http import HTTPStatus
from uuid import UUID

from flask import Blueprint, abort, redirect, url_for
from flask.typing import ResponseReturnValue

from bridge.postgres.enqueue import enqueue
from bridge.web.services import Services

logger = logging.getLogger(__name__)

ACTOR = "run_coding_session"  # of the development fleet: runs the shell blocks of a prompt
_NOBODY = UUID(int=0)  # owns the sessions of these jobs, which the dashboard shows and no app does
_BROKEN_ATTEMPTS = 2  # so that the page shows a failure, a wait and a retry, and the end comes within seconds
_PROMPTS = {
    "works": """Count to five.
```sh
for n in 1 2 3 4 5; do echo "Hello from the MobVibe bridge, $n of 5"; sleep 0.4; done
```""",
    "breaks": """Fail on purpose.
```sh
echo "About to break"; sleep 0.4; echo "Broken on purpose" >&2; exit 1
```""",
}


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("sample_jobs", __name__, url_prefix="/sample-jobs")

    @pages.post("/<any(works, breaks):kind>")
    def send(kind: str) -> ResponseReturnValue:
        if services.settings.is_production:
            abort(HTTPStatus.NOT_FOUND)
        prompt = _PROMPTS[kind]
        attempts = _BROKEN_ATTEMPTS if kind == "breaks" else None
        with services.pool.connection() as connection, connection.transaction():
            asked = {"user": _NOBODY, "project": _NOBODY, "prompt": prompt}
            session = services.pool.on(connection, "create_session", asked)[0]
            job_id = enqueue(connection, ACTOR, session_id=session["id"], prompt=prompt, max_retries=attempts)
        logger.info("Test job sent", extra={"jobId": str(job_id), "kind": kind})
        return redirect(url_for("jobs.show", job_id=job_id))

    return pages
