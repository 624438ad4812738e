"""What requests to a model cost is reserved before them: no budget is exceeded by more than one request."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from bridge import NotOursError
from bridge.postgres.link import Link
from bridge.postgres.turns import Budgets, TurnKey, Turns
from bridge.sessions import OverBudget, Record, Usage, open_record
from tests.support.rows import Rows
from tests.support.turns import USER, TurnSteps

OTHER_USER = UUID(int=78)


def with_budgets(record: Record, **limits: float) -> Record:
    record._budgets = Budgets(**{"turn": None, "session": None, "day": None, **limits})
    return record


def ask(record: Record, usd: float, cost: float) -> OverBudget | None:
    """One request to the model, if it may be made."""
    over = record.reserve(usd)
    if over is None:
        record.spend(Usage("m", 10, 20, 30, 40, cost))
    return over


def test_a_request_is_recorded_with_what_it_used(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = turns.open(session_id)

    assert record.reserve(1.5) is None
    assert rows.one("SELECT reserved_usd, cost_usd FROM session_requests") == {"reserved_usd": 1.5, "cost_usd": None}
    record.spend(Usage("model", 10, 20, 30, 40, 0.25))

    row = rows.one("SELECT * FROM session_requests")
    assert (row["user_id"], row["session_id"], row["turn"], row["model"]) == (USER, session_id, 1, "model")
    assert [row[f"{kind}_tokens"] for kind in ("input", "output", "cache_write", "cache_read")] == [10, 20, 30, 40]
    assert float(row["cost_usd"]) == 0.25


@pytest.mark.parametrize(("scope", "name"), [("turn", "turn"), ("session", "session"), ("user", "day")])
def test_a_budget_is_exceeded_by_one_request_at_most(turns: TurnSteps, scope: str, name: str) -> None:
    record = with_budgets(turns.open(), **{name: 1.0})

    made = 0
    while (over := ask(record, 0.4, 0.4)) is None:
        made += 1

    assert made == 3
    assert (over.scope, over.limit_usd) == (scope, 1.0)
    assert over.spent_usd == pytest.approx(1.2)


def test_a_budget_smaller_than_a_request_allows_one(turns: TurnSteps) -> None:
    record = with_budgets(turns.open(), turn=0.01)

    assert ask(record, 5.0, 0.02) is None
    assert ask(record, 5.0, 0.02) is not None


def test_each_turn_has_a_budget_and_a_session_adds_them_up(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    for _ in range(2):
        record = with_budgets(turns.open(session_id), turn=0.5, session=1.0)
        assert ask(record, 0.5, 0.5) is None
        over = ask(record, 0.5, 0.5)
        assert over is not None
        assert over.scope == "turn"
        record.finish()

    over = ask(with_budgets(turns.open(session_id), turn=0.5, session=1.0), 0.5, 0.5)
    assert over == OverBudget("session", 1.0, 1.0)


def test_a_user_who_says_yes_gets_the_session_s_budget_once_more(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = with_budgets(turns.open(session_id), session=1.0)
    assert ask(record, 1.0, 1.0) is None
    over = ask(record, 1.0, 1.0)
    assert over is not None
    record.ask_to_go_on(over)

    answered = rows.one("SELECT * FROM continue_session(%s, %s)", [session_id, USER])
    job = rows.job(answered["job_id"])
    record = with_budgets(open_record(turns.start(job_id=job["id"])[0]), session=1.0)

    assert (answered["state"], job["prompt"], job["payload"]) == ("asked", None, {"continue": True})
    assert ask(record, 1.0, 1.0) is None
    assert ask(record, 1.0, 1.0) == OverBudget("session", 2.0, 2.0)


def test_an_answer_about_something_else_adds_no_budget(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = with_budgets(turns.open(session_id), session=1.0)
    assert ask(record, 1.0, 1.0) is None
    record.ask("q1", "Which colour?")

    answered = rows.one("SELECT * FROM answer_question(%s, %s, 'q1', 'red')", [session_id, USER])

    record = with_budgets(open_record(turns.start(job_id=answered["job_id"])[0]), session=1.0)
    assert ask(record, 1.0, 1.0) == OverBudget("session", 1.0, 1.0)


def test_twenty_jobs_of_a_user_at_once_share_the_day(turns: TurnSteps, rows: Rows, dsn: str) -> None:
    jobs = [turns.start(turns.add_session())[0] for _ in range(20)]
    for job in jobs:
        open_record(job)
    other = with_budgets(turns.open(turns.add_session(user_id=OTHER_USER)), day=1.0)
    budgets = Budgets(None, None, 1.0)

    def reserve(number: int) -> OverBudget | None:
        link = Link(dsn, f"job {number}")
        over = Turns(link).reserve(TurnKey(jobs[number].id, jobs[number].fence), UUID(int=number), 0.3, budgets)
        link.close()
        return over

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(reserve, range(20)))

    assert answers.count(None) == 4, "after three there are 0.1 left"
    assert {over.scope for over in answers if over} == {"user"}
    assert other.reserve(0.3) is None, "another user's"


def test_reservations_of_attempts_that_are_over_do_not_count(turns: TurnSteps, rows: Rows) -> None:
    job, held = turns.start(turns.add_session())
    dead = with_budgets(open_record(job), day=1.0)
    assert dead.reserve(1.0) is None
    other = with_budgets(turns.open(), day=1.0)
    assert other.reserve(0.1) is not None

    again, _ = turns.again(held)
    assert other.reserve(0.1) is None, "its job has a later attempt"
    open_record(again)

    assert rows.value("SELECT count(*) FROM session_requests") == 1, "and that has removed it"


def test_of_a_job_that_has_ended_costs_count_and_reservations_do_not(turns: TurnSteps) -> None:
    other = with_budgets(turns.open(), day=1.0)
    job, held = turns.start(turns.add_session())
    ended = with_budgets(open_record(job), day=1.0)
    assert ask(ended, 0.5, 0.5) is None
    assert ended.reserve(0.5) is None
    assert other.reserve(0.1) is not None

    turns.steps.fail(held, final=True)

    assert ask(other, 0.5, 0.5) is None
    assert other.reserve(0.1) == OverBudget("user", 1.0, 1.0)


def test_a_failed_request_is_not_counted_with_the_next_one(turns: TurnSteps, rows: Rows) -> None:
    record = with_budgets(turns.open(), turn=1.0, day=1.0)

    for _ in range(5):
        assert record.reserve(0.9) is None

    assert rows.value("SELECT count(*) FROM session_requests") == 1


def test_yesterday_s_costs_are_not_of_this_day(turns: TurnSteps, rows: Rows) -> None:
    record = with_budgets(turns.open(), day=1.0)
    assert ask(record, 1.0, 1.0) is None
    assert ask(record, 1.0, 1.0) is not None

    rows.all("UPDATE session_requests SET day = day - 1")

    assert ask(record, 1.0, 1.0) is None


def test_a_cost_is_stored_also_when_its_attempt_is_over(turns: TurnSteps, rows: Rows) -> None:
    turns.open()
    job, held = turns.start(turns.add_session())
    dead = open_record(job)
    assert dead.reserve(1.0) is None
    open_record(turns.again(held)[0])  # which frees the reservation

    with pytest.raises(NotOursError):
        dead.spend(Usage("m", 1, 2, cost_usd=0.75))

    assert rows.all("SELECT session_id, turn, cost_usd::float AS usd FROM session_requests") == [
        {"session_id": job.session_id, "turn": 1, "usd": 0.75}
    ]


def test_a_cost_is_stored_also_when_its_turn_is_over(turns: TurnSteps, rows: Rows) -> None:
    record = turns.open()
    assert record.reserve(1.0) is None
    record.finish()

    with pytest.raises(NotOursError):
        record.spend(Usage("m", 1, 2, cost_usd=0.75))

    assert float(rows.value("SELECT sum(cost_usd) FROM session_requests")) == 0.75


def test_a_cost_is_stored_also_when_its_session_was_deleted(turns: TurnSteps, rows: Rows) -> None:
    session_id = turns.add_session()
    record = turns.open(session_id)
    assert record.reserve(1.0) is None
    rows.all("DELETE FROM coding_sessions WHERE id = %s", [session_id])

    with pytest.raises(NotOursError):
        record.spend(Usage("m", 1, 2, cost_usd=0.75))

    assert float(rows.value("SELECT sum(cost_usd) FROM session_requests")) == 0.75


def test_whose_a_cost_is_nobody_knows_when_session_and_reservation_are_gone(turns: TurnSteps, rows: Rows) -> None:
    job, held = turns.start(turns.add_session())
    dead = open_record(job)
    assert dead.reserve(1.0) is None
    open_record(turns.again(held)[0])  # which frees the reservation
    rows.all("DELETE FROM coding_sessions WHERE id = %s", [job.session_id])

    with pytest.raises(NotOursError):
        dead.spend(Usage("m", 1, 2, cost_usd=0.75))

    assert rows.all("SELECT * FROM session_requests") == []


def test_without_budgets_nothing_is_asked(turns: TurnSteps) -> None:
    record = with_budgets(turns.open())

    assert all(ask(record, 1000.0, 1000.0) is None for _ in range(5))
