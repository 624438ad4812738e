"""`mobvibe sessions`: start, show, watch, send, answer, continue, cancel."""

import json
from uuid import UUID, uuid4

import pytest

from bridge.sessions import OverBudget, Usage, open_record
from tests.support.commands import Run
from tests.support.rows import Rows
from tests.support.turns import USER, TurnSteps


def test_a_session_is_started_shown_and_cancelled(run: Run, rows: Rows) -> None:
    session_id = UUID(run("sessions", "start", "Build a page", "--user", str(USER)).out.strip())

    job = rows.one("SELECT * FROM coding_jobs")
    assert (job["session_id"], job["prompt"], job["actor"]) == (session_id, "Build a page", "run_coding_session")
    shown = json.loads(run("sessions", "show", str(session_id), "--json").out)
    assert (shown["status"], shown["user_id"], shown["open_jobs"], shown["turn"]) == ("pending", str(USER), 1, None)
    assert run("sessions", "cancel", str(session_id)).out == f"{session_id}: 1 jobs cancelled\n"
    assert run("sessions", "cancel", str(session_id)).out == f"{session_id} had nothing to do\n"
    assert rows.session(session_id)["status"] == "failed"


@pytest.mark.parametrize("branch", [None, "develop"])
def test_a_session_starts_from_a_repository(run: Run, rows: Rows, branch: str | None) -> None:
    options = [] if branch is None else ["--branch", branch]
    run("sessions", "start", "Build a page", "--repository", "https://github.com/a/b", *options)

    given = {"url": "https://github.com/a/b"} | ({} if branch is None else {"branch": branch})
    assert rows.one("SELECT payload FROM coding_jobs")["payload"] == {"repository": given}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--branch", "develop"], "--branch needs --repository"),
        (["--repository", "https://user:geheim@github.com/a/b"], "has a user or a token in it"),
        (["--repository", "git@github.com:geheim/b"], "is not one such as"),
    ],
)
def test_a_repository_that_cannot_be_one_is_refused_and_not_repeated(
    run: Run, rows: Rows, options: list[str], reason: str
) -> None:
    refused = run("sessions", "start", "Build a page", *options)

    assert (refused.code, reason in refused.err, "geheim" in refused.err) == (2, True, False)
    assert rows.value("SELECT count(*) FROM coding_sessions") == 0


def test_a_session_is_watched_until_it_asks_and_then_answered(run: Run, rows: Rows, turns: TurnSteps) -> None:
    session_id = turns.add_session()
    job, held = turns.start(session_id)
    asking = open_record(job)
    asking.set_progress(0.5, [("text", {"text": "one\x1b[2Jtwo"})])
    asking.spend(Usage("m", 1, 2, cost_usd=0.25))
    asking.ask("q1", "Which colour?", events=[("question", {"text": "Which colour?"})])
    turns.steps.complete(held)

    watched = run("sessions", "watch", str(session_id)).out
    shown = run("sessions", "show", str(session_id)).out
    after = run("sessions", "watch", str(session_id), "--after", "1").out
    answered = run("sessions", "answer", str(session_id), "red")
    again = run("sessions", "answer", str(session_id), "blue")

    assert [line.split()[1] for line in watched.splitlines()] == ["text", "question"]
    assert "\x1b" not in watched
    assert [line.split()[1] for line in after.splitlines()] == ["question"]
    assert "Which colour?" in shown
    assert "paused" in shown
    assert "0.25" in shown
    assert rows.job(UUID(answered.out.strip()))["prompt"] == "red"
    assert (again.code, again.err) == (1, "mobvibe: This question is not open: it was answered, or given up\n")


def test_a_prompt_is_sent_to_a_session_at_rest_or_at_work(run: Run, rows: Rows, turns: TurnSteps) -> None:
    session_id = turns.add_session()

    first = run("sessions", "send", str(session_id), "now in red")
    second = run("sessions", "send", str(session_id), "and blue")

    assert rows.job(UUID(first.out.strip()))["prompt"] == "now in red"
    assert second.out == f"{session_id} is at work and takes it\n"


def test_a_session_goes_on(run: Run, rows: Rows, turns: TurnSteps) -> None:
    session_id = turns.add_session()
    turns.open(session_id).ask_to_go_on(OverBudget("turn", 1.0, 1.0))

    assert rows.job(UUID(run("sessions", "continue", str(session_id)).out.strip()))["payload"] == {"continue": True}
    again = run("sessions", "continue", str(session_id))
    assert (again.code, again.err) == (1, "mobvibe: The session is at work already\n")


def test_watching_shows_what_comes_after_what_was_asked(run: Run, rows: Rows, turns: TurnSteps) -> None:
    session_id = turns.add_session(status="completed")
    rows.all("INSERT INTO session_events (session_id, event_type) VALUES (%s, 'before')", [session_id])
    rows.all("CREATE FUNCTION end_at_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
             " INSERT INTO session_events (session_id, event_type) VALUES (NEW.session_id, 'after');"
             " NEW.status := 'completed'; NEW.completed_at := now(); RETURN NEW; END $$;"
             " CREATE TRIGGER b BEFORE INSERT ON coding_jobs FOR EACH ROW EXECUTE FUNCTION end_at_once()")  # fmt: skip

    watched = run("sessions", "send", str(session_id), "more", "--watch")

    assert watched.code == 0, watched.err
    assert [line.split()[1] for line in watched.out.splitlines()[1:]] == ["after"]


@pytest.mark.parametrize("command", ["show", "watch", "send", "answer", "continue", "cancel"])
def test_a_session_that_is_not_there_is_said_in_one_line(run: Run, command: str) -> None:
    more = ["x"] if command in {"send", "answer"} else []

    result = run("sessions", command, str(uuid4()), *more)

    assert result.code == 1
    assert result.err.startswith("mobvibe: ")
    assert len(result.err.splitlines()) == 1
