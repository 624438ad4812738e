"""What the index of words costs: the CPU time of filling it, and its size."""

import psutil
import psycopg

_BATCH = 500  # jobs: as the bridge has it
_SIZE = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN ('job_search', 'job_search_progress')"


def print_index(database: "psycopg.Connection[tuple[int, bool]]") -> None:
    """Index all jobs, and print what that cost Postgres."""
    server = psutil.Process(database.info.backend_pid)
    before, jobs, more = _seconds(server), 0, True
    while more:
        row = database.execute("SELECT indexed, more FROM index_jobs(%s, 5000)", [_BATCH]).fetchone()
        assert row is not None
        jobs, more = jobs + row[0], row[1]
    database.execute("VACUUM ANALYZE job_search")
    size = database.execute(_SIZE).fetchone()
    assert size is not None
    cost = 1_000_000 * (_seconds(server) - before) / jobs
    print(f"\nIndex of words: {cost:.0f} ms of CPU and {size[0] / jobs:.0f} kB for 1,000 jobs")


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
