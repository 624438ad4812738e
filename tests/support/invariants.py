"""What must hold of the rows at any moment, as queries. Each names rows that break it: none may.

The numbers are those of the promises in docs/reliability.md.
"""

from tests.support.rows import Rows

INVARIANTS = {
    # Promise 1 needs no query: tests wait for their jobs to end.
    "1 a session whose jobs have all ended has ended": """
        SELECT s.id FROM coding_sessions s
        WHERE s.status IN ('pending', 'active')
          AND EXISTS (SELECT FROM coding_jobs j WHERE j.session_id = s.id AND j.fence > 0)
          AND NOT EXISTS (SELECT FROM coding_jobs j
                          WHERE j.session_id = s.id AND j.status IN ('pending', 'processing'))""",
    "2 terminal is final: no attempt begins after the job's end": """
        SELECT j.id FROM coding_jobs j JOIN job_attempts a ON a.job_id = j.id
        WHERE j.status IN ('completed', 'failed', 'cancelled') AND a.claimed_at > j.completed_at""",
    "3 one terminal event per job: at most one attempt completed it, unless an operator wanted it again": """
        SELECT a.job_id FROM job_attempts a WHERE a.outcome = 'completed' GROUP BY a.job_id
        HAVING count(*) > 1 + (SELECT count(*) FROM job_audit x
                               WHERE x.job_id = a.job_id AND x.action = 'retry' AND x.status_before = 'completed')""",
    "3 a completed job has the attempt that completed it, its last one": """
        SELECT j.id FROM coding_jobs j
        WHERE j.status = 'completed' AND j.fence > 0
          AND NOT EXISTS (SELECT FROM job_attempts a
                          WHERE a.job_id = j.id AND a.fence = j.fence AND a.outcome = 'completed')""",
    "4 the fence is monotone: no attempt is ahead of its job": """
        SELECT j.id FROM coding_jobs j JOIN job_attempts a ON a.job_id = j.id WHERE a.fence > j.fence""",
    "4 every attempt is in the ledger: the fences of an idle job have no gap": """
        SELECT j.id FROM coding_jobs j
        WHERE j.fence - (CASE WHEN j.status = 'processing' THEN 1 ELSE 0 END)
              <> (SELECT count(*) FROM job_attempts a WHERE a.job_id = j.id)""",
    "5 the attempt in progress has no ending": """
        SELECT j.id FROM coding_jobs j JOIN job_attempts a ON a.job_id = j.id AND a.fence = j.fence
        WHERE j.status = 'processing'""",
    "6 one start per attempt: no exec served twice": """
        SELECT exec FROM job_attempts WHERE exec IS NOT NULL GROUP BY exec HAVING count(*) > 1""",
    "6 what completed or failed was started": """
        SELECT job_id FROM job_attempts
        WHERE outcome IN ('completed', 'failed', 'crashed') AND exec IS NULL AND worker IS NOT NULL""",
    "7 a job is started no more often than its retries allow": """
        SELECT j.id FROM coding_jobs j JOIN job_attempts a ON a.job_id = j.id
        WHERE a.outcome IN ('failed', 'crashed', 'reclaimed')
        GROUP BY j.id HAVING count(*) > greatest(j.max_retries, 1)
           AND NOT EXISTS (SELECT FROM job_audit x WHERE x.job_id = j.id AND x.action = 'retry')""",
    "8 no takeover from the living: only lost or stopped workers had crashes": """
        SELECT a.job_id FROM job_attempts a JOIN workers w ON w.id = a.worker
        WHERE a.outcome = 'crashed' AND w.stopped_at IS NULL""",
    "9 the retry count is the number of spent attempts": """
        SELECT j.id FROM coding_jobs j
        WHERE j.retry_count <> (SELECT count(*) FROM job_attempts a WHERE a.job_id = j.id
                                AND a.outcome IN ('failed', 'crashed', 'reclaimed'))
          AND NOT EXISTS (SELECT FROM job_audit x WHERE x.job_id = j.id)
          AND j.status <> 'cancelled'""",
    "a finished job holds no lease, a running one no hand-over lease": """
        SELECT id FROM coding_jobs
        WHERE lease_expires_at IS NOT NULL AND (status <> 'processing' OR exec IS NOT NULL)""",
    "times are in order": """
        SELECT job_id FROM job_attempts WHERE NOT (claimed_at <= coalesce(started_at, claimed_at)
                                                   AND coalesce(started_at, claimed_at) <= finished_at)""",
}


# All in one: a test asks often.
_BROKEN = " UNION ALL ".join(
    f"SELECT {number} AS number, jsonb_agg(broken) AS rows FROM ({query}) broken HAVING count(*) > 0"
    for number, query in enumerate(INVARIANTS.values())
)


def broken_invariants(rows: Rows) -> dict[str, list[object]]:
    """The invariants that some rows break, with those rows."""
    names = list(INVARIANTS)
    return {names[found["number"]]: found["rows"] for found in rows.all(_BROKEN)}


def check_invariants(rows: Rows) -> None:
    assert broken_invariants(rows) == {}
