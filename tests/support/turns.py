"""Jobs that run turns, and the records of these."""

from uuid import UUID

from bridge.job import Job
from bridge.postgres.attempts import AttemptKey
from bridge.sessions import Message, Record, open_record, record
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps

USER = UUID(int=77)


class TurnSteps:
    """Starts attempts of a session's jobs, one after the other, without their actors."""

    def __init__(self, steps: Steps, rows: Rows) -> None:
        self.steps, self.rows = steps, rows
        self.worker = steps.add_worker(slots=100)

    def add_session(self, **columns: object) -> UUID:
        return self.rows.add_session(**{"user_id": USER, **columns})

    def start(self, session_id: UUID | None = None, job_id: UUID | None = None) -> tuple[Job, AttemptKey]:
        """A started attempt: of this job, or of a new one of this session."""
        job_id = job_id or self.rows.add_job(session_id=session_id)
        self.steps.book.heartbeat(self.worker, LEASE, [])  # a test of many turns may take longer than a lease
        (claim,) = [one for one in self.steps.claim() if one.job_id == job_id]
        held = self.steps.start(self.worker, claim)
        assert held is not None
        row = self.rows.job(job_id)
        return Job(job_id, row["session_id"], row["prompt"], row["payload"], fence=held.fence), held

    def open(self, session_id: UUID | None = None) -> Record:
        return open_record(self.start(session_id or self.add_session())[0])

    def again(self, held: AttemptKey) -> tuple[Job, AttemptKey]:
        """The attempt is lost, and the job's next one started."""
        self.rows.all(
            "UPDATE coding_jobs SET status = 'pending', exec = NULL, worker = NULL WHERE id = %s", [held.job_id]
        )
        return self.start(job_id=held.job_id)

    def events(self, session_id: UUID) -> list[str]:
        return [
            row["event_type"]
            for row in self.rows.all(
                "SELECT event_type FROM session_events WHERE session_id = %s ORDER BY seq", [session_id]
            )
        ]


def said(role: str, text: str) -> Message:
    return Message(role, [{"type": "text", "text": text}])


def close_records() -> None:
    """End the connections that the records of this process have opened."""
    while record._threads:
        record._threads.popitem()[1].close()
