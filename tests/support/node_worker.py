"""What the manual of the Node worker shows: its `.env`, its log lines, its queries, word for word."""

from collections.abc import Mapping
from typing import Any

ENV = """\
# Supabase Configuration (Required)
SUPABASE_URL=https://your-project.supabase.co
SUPABASE_SERVICE_ROLE_KEY=your-service-role-key-here

# Worker Configuration (Optional with defaults)
POLL_INTERVAL_MS=10000              # Polling interval (10 seconds)
MAX_CONCURRENT_JOBS=1               # Future: concurrent processing
SHUTDOWN_TIMEOUT_MS=30000           # Graceful shutdown timeout

# Health Check (Optional)
HEALTH_CHECK_PORT=8080              # Health check HTTP port

# Logging (Optional)
LOG_LEVEL=info                      # trace|debug|info|warn|error|fatal
NODE_ENV=development                # development|production

# Monitoring (Optional)
MONITOR_INTERVAL_MS=30000           # Stats logging interval
"""

HEALTH = {"status": "healthy", "uptime": 123.456, "timestamp": "2025-01-07T12:00:00.000Z"}

JOB_COMPLETED = {
    "level": 30,
    "time": 1704715200000,
    "jobId": "123e4567-e89b-12d3-a456-426614174000",
    "sessionId": "789e4567-e89b-12d3-a456-426614174001",
    "duration": 2145,
    "msg": "Job completed",
}

QUEUE_STATISTICS = {
    "level": 30,
    "pending": 5,
    "processing": 2,
    "completed": 143,
    "failed": 1,
    "oldestPending": "00:00:15",
    "successRate": "99.3",
    "msg": "Queue statistics",
}

LEVELS = {"trace": 10, "debug": 20, "info": 30, "warn": 40, "error": 50, "fatal": 60}  # pino's

SLOW_JOBS = {"query": {"bool": {"must": [{"match": {"msg": "Job completed"}}, {"range": {"duration": {"gte": 5000}}}]}}}

PENDING = "SELECT COUNT(*) FROM coding_jobs WHERE status = 'pending'"
CLAIM = "SELECT * FROM claim_next_job()"
RESET_STUCK = """
UPDATE coding_jobs
SET status = 'pending', started_at = NULL
WHERE status = 'processing'
AND started_at < NOW() - INTERVAL '5 minutes'
"""
TRIGGERS = """
SELECT * FROM pg_trigger
WHERE tgname IN ('on_job_created', 'on_job_status_changed')
"""


def finds(query: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether Elasticsearch finds a document by a query of these kinds: bool/must, match on text, range on numbers.

    `match` finds a text that has any of the words, whatever their case. `range` does not find a field that is absent.
    """
    ((kind, body),) = query.items()
    if kind == "bool":
        return all(finds(one, document) for one in body["must"])
    ((field, wanted),) = body.items()
    found = document.get(field)
    if kind == "match":
        return isinstance(found, str) and not set(found.lower().split()).isdisjoint(wanted.lower().split())
    assert kind == "range"
    return isinstance(found, int | float) and found >= wanted["gte"]
