"""Live workers announce one actor with different queues: a deploy moves it, or two packages use its name."""

from tests.support.announcing import announce
from tests.support.rows import Rows
from tests.support.steps import Steps


def place(rows: Rows, **columns: str) -> str:
    """The queue of a job of this actor right after its insert."""
    return str(rows.job(rows.add_job(actor="build_report", **columns))["queue"])


def claimed(steps: Steps) -> list[str]:
    """The queues of the jobs that a bridge claims now."""
    return sorted(claim.queue for claim in steps.claim())


def test_while_a_deploy_moves_an_actor_old_jobs_run_where_old_workers_are_and_new_ones_in_the_new_queue(
    steps: Steps, rows: Rows
) -> None:
    announce(steps, "reports")
    assert place(rows) == "reports"
    announce(steps, "bulk")

    assert place(rows) == "bulk"
    assert place(rows, queue="reports") == "reports", "an application of the version before names it"
    assert steps.queue.route_jobs(limit=10) == []
    assert claimed(steps) == ["bulk", "reports", "reports"]


def test_after_a_deploy_that_moved_an_actor_what_waits_in_its_old_queue_follows(steps: Steps, rows: Rows) -> None:
    old = announce(steps, "reports")
    place(rows)
    place(rows, run_at="2000-01-01")
    announce(steps, "bulk")
    steps.book.stop(old)

    (group,) = steps.queue.route_jobs(limit=10)

    assert (group.queue, group.jobs, group.routed_to) == ("reports", 2, "bulk")
    assert claimed(steps) == ["bulk", "bulk"]


def test_after_a_rollback_what_waits_in_the_new_queue_goes_back(steps: Steps, rows: Rows) -> None:
    announce(steps, "reports")
    new = announce(steps, "bulk")
    place(rows)
    steps.book.stop(new)

    steps.queue.route_jobs(limit=10)

    assert claimed(steps) == ["reports"]


def test_of_two_versions_that_disagree_the_newest_counts_and_a_job_keeps_what_it_got(steps: Steps, rows: Rows) -> None:
    announce(steps, "reports", 5)
    first = rows.add_job(actor="build_report")
    announce(steps, "reports", 2)
    second = rows.add_job(actor="build_report")

    steps.claim()

    assert [rows.job(job)["max_retries"] for job in (first, second)] == [5, 2]


def test_two_packages_with_one_actor_name_each_run_the_jobs_that_name_their_queue(steps: Steps, rows: Rows) -> None:
    announce(steps, "mail")
    announce(steps, "reports")

    assert [place(rows, queue=queue) for queue in ("mail", "reports")] == ["mail", "reports"]
    assert place(rows) == "reports", "that of the newest worker, when no queue is named"
    assert steps.queue.route_jobs(limit=10) == []
    assert claimed(steps) == ["mail", "reports", "reports"]


def test_jobs_of_a_package_that_is_gone_go_to_the_one_that_uses_the_same_name(steps: Steps, rows: Rows) -> None:
    """As after a deploy that moved an actor: nothing tells these apart."""
    gone = announce(steps, "mail")
    announce(steps, "reports")
    place(rows, queue="mail")
    steps.book.stop(gone)

    steps.queue.route_jobs(limit=10)

    assert claimed(steps) == ["reports"]
