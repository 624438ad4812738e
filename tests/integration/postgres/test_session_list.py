"""The list of sessions, a page at a time."""

from uuid import UUID

import pytest

from bridge.postgres.link import Link
from bridge.postgres.session_list import list_sessions
from bridge.postgres.statements import statement
from tests.support.rows import Rows


def test_pages_follow_each_other_without_gaps(link: Link, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_sessions (created_at) SELECT now() - n % 3 * interval '1 s' FROM generate_series(1, 9) n"
    )
    seen: list[UUID] = []
    page = list_sessions(link.call, limit=4, cut=10)
    while True:
        seen += [one["id"] for one in page.sessions]
        if page.next is None:
            break
        page = list_sessions(link.call, limit=4, cut=10, after=page.next)

    ordered = rows.all("SELECT id FROM coding_sessions ORDER BY created_at DESC, id DESC")
    assert seen == [row["id"] for row in ordered]


def test_a_session_is_shown_with_its_turns_costs_and_last_event(link: Link, rows: Rows) -> None:
    session = rows.add_session(initial_prompt="x" * 50, expires_at="2020-01-01", updated_at="2020-01-01")
    for turn in (1, 2):
        rows.all(
            "INSERT INTO session_turns (session_id, turn, job_id, fence, state)"
            " VALUES (%s, %s, gen_random_uuid(), 1, 'finished')",
            [session, turn],
        )
        rows.all(
            "INSERT INTO session_requests (id, session_id, turn, job_id, fence, reserved_usd, cost_usd)"
            " VALUES (gen_random_uuid(), %s, %s, gen_random_uuid(), 1, 0, 0.25)",
            [session, turn],
        )
    rows.all(
        "INSERT INTO session_events (session_id, event_type, created_at) VALUES (%s, 'x', '2021-01-01')", [session]
    )

    (found,) = list_sessions(link.call, limit=4, cut=10).sessions

    assert (found["turns"], float(found["cost_usd"]), found["status"]) == (2, 0.5, "expired")
    assert found["initial_prompt"] == "x" * 10
    assert found["active_at"].year == 2021


@pytest.mark.parametrize("count", [0, 4])
def test_a_last_page_leads_nowhere(link: Link, rows: Rows, count: int) -> None:
    for _ in range(count):
        rows.add_session()

    assert list_sessions(link.call, limit=4, cut=10).next is None


def test_a_later_page_reads_no_earlier_one(rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_sessions (created_at) SELECT now() - n * interval '1 s' FROM generate_series(1, 2000) n"
    )
    rows.all("ANALYZE coding_sessions")
    before = rows.one(
        "SELECT created_at AS before_at, id AS before_id FROM coding_sessions ORDER BY created_at LIMIT 1"
    )

    plan = rows.all(f"EXPLAIN {statement('list_sessions')}", before | {"limit": 51, "cut": 10})

    text = "\n".join(row["QUERY PLAN"] for row in plan)
    assert "using coding_sessions_created" in text
    assert "Index Cond: (ROW(" in text
