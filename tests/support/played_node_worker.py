"""The Node worker, played: it calls the four functions in the database as the service role, and knows nothing else.

`QUEUE` makes the functions of its database, with the behaviour of the original ones: no lease, no fence, a notification
for each row, `complete_job` in any status.
"""

import threading
from collections.abc import Callable
from typing import Any

import psycopg

QUEUE = """
CREATE OR REPLACE FUNCTION claim_next_job()
RETURNS TABLE (job_id uuid, session_id uuid, prompt text, priority integer) LANGUAGE plpgsql AS $$
DECLARE
    taken uuid;
BEGIN
    SELECT c.id INTO taken FROM coding_jobs c WHERE c.status = 'pending'
    ORDER BY c.priority DESC, c.created_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    UPDATE coding_jobs SET status = 'processing', started_at = now(), updated_at = now() WHERE id = taken;
    RETURN QUERY SELECT c.id, c.session_id, c.prompt, c.priority FROM coding_jobs c WHERE c.id = taken;
END $$;

CREATE OR REPLACE FUNCTION complete_job(job_id_param uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE coding_jobs SET status = 'completed', completed_at = now(), updated_at = now() WHERE id = job_id_param;
END $$;

CREATE OR REPLACE FUNCTION fail_job(job_id_param uuid, error_msg text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    job coding_jobs;
BEGIN
    SELECT * INTO job FROM coding_jobs WHERE id = job_id_param;
    IF job.retry_count + 1 < job.max_retries THEN
        UPDATE coding_jobs SET status = 'pending', retry_count = job.retry_count + 1, error_message = error_msg
        WHERE id = job_id_param;
        RETURN true;
    END IF;
    UPDATE coding_jobs SET status = 'failed', retry_count = job.retry_count + 1, error_message = error_msg,
        completed_at = now() WHERE id = job_id_param;
    UPDATE coding_sessions SET status = 'failed', error_message = error_msg WHERE id = job.session_id;
    RETURN false;
END $$;

CREATE OR REPLACE FUNCTION get_queue_stats() RETURNS TABLE (pending_count bigint, processing_count bigint,
    completed_count bigint, failed_count bigint, oldest_pending_age interval) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'processing'),
        count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
        max(now() - created_at) FILTER (WHERE status = 'pending') FROM coding_jobs;
END $$;

CREATE OR REPLACE FUNCTION notify_new_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('new_job', json_build_object('job_id', NEW.id, 'session_id', NEW.session_id,
        'priority', NEW.priority, 'created_at', NEW.created_at)::text);
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION notify_job_status_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status IS DISTINCT FROM NEW.status THEN
        PERFORM pg_notify('job_status_changed', json_build_object('job_id', NEW.id, 'session_id', NEW.session_id,
            'old_status', OLD.status, 'new_status', NEW.status, 'updated_at', NEW.updated_at)::text);
    END IF;
    RETURN NEW;
END $$;
"""


class NodeWorker(threading.Thread):
    """Claims, runs and reports one job after the other until `stop`. `run` gets the job, and raises if it fails."""

    def __init__(
        self, dsn: str, run: Callable[[tuple[Any, ...]], None], *, role: str = "", poll_seconds: float = 0.05
    ) -> None:
        super().__init__(daemon=True)
        self._dsn, self._do, self._role, self._poll_seconds = dsn, run, role, poll_seconds
        self._over = threading.Event()
        self.reported = 0
        self.errors: list[str] = []

    def run(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True, application_name="node worker", prepare_threshold=None) as one:
            if self._role:
                one.execute(f"SET ROLE {self._role}")
            while not self._over.is_set():
                if not self._step(one):
                    self._over.wait(self._poll_seconds)

    def stop(self) -> None:
        """As SIGTERM: the job in work is ended and reported first."""
        self._over.set()
        if self.ident:
            self.join(60)

    def _step(self, connection: "psycopg.Connection[Any]") -> bool:
        try:
            job = connection.execute("SELECT * FROM claim_next_job()").fetchone()
        except psycopg.Error as error:
            self.errors.append(str(error))
            return False
        if job is None:
            return False
        try:
            self._do(job)
        except RuntimeError as error:
            self._report(connection, "SELECT fail_job(%s, %s)", job[0], str(error))
        else:
            self._report(connection, "SELECT complete_job(%s)", job[0])
        return True

    def _report(self, connection: "psycopg.Connection[Any]", call: str, *arguments: Any) -> None:
        """Until it is heard: the real one tries again, too, when a report does not get through."""
        while True:
            try:
                connection.execute(call.encode(), arguments)
            except psycopg.OperationalError as error:
                self.errors.append(str(error))
            else:
                self.reported += 1
                return
