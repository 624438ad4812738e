"""A turn from its prompt to its completion: real stores and sandboxes, and a script or a fake API as the model."""

from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr

from actors.coding.installation import installation
from tests.integration.actors.coding.conftest import USER, CodingSessions
from tests.support.fake_anthropic import DEMONSTRATION, FakeAnthropic
from tests.support.rows import Rows
from tests.support.scripted_replies import Reply

Start = Callable[..., CodingSessions]
KEY = f"sk-{'ant'}-made-up-for-tests"  # in parts: no file holds what looks like a key


@pytest.fixture
def api() -> Iterator[Callable[..., FakeAnthropic]]:
    opened: list[FakeAnthropic] = []

    def open_api(*replies: Reply) -> FakeAnthropic:
        opened.append(FakeAnthropic(replies, key=KEY).__enter__())
        return opened[-1]

    yield open_api
    for one in opened:
        one.__exit__()


def with_model(coding: Start, api: FakeAnthropic) -> CodingSessions:
    return coding(anthropic_api_key=SecretStr(KEY), anthropic_base_url=api.url)


def test_the_first_run_needs_no_key(coding: Start) -> None:
    sessions = coding()

    session_id, job = sessions.run("Say hello.\n```sh\necho Hello from the sandbox; echo 1 > new.txt\n```")

    assert job["status"] == "completed", job["error_message"]
    assert job["result"]["success"]
    kinds = sessions.kinds(session_id)
    assert kinds[0] == "turn_started"
    assert kinds[-1] == "completion"
    assert {"text", "tool_started", "terminal", "tool_finished", "file_change"} <= set(kinds)
    shown = "".join(event["output"] for event in sessions.events(session_id, "terminal"))
    assert shown == "Hello from the sandbox\n"
    assert "new.txt" in str(sessions.events(session_id, "file_change"))
    assert sessions.rows.value("SELECT status FROM coding_sessions WHERE id = %s", [session_id]) == "completed"


def test_a_model_works_on_the_files_of_the_session(coding: Start, api: Callable[..., FakeAnthropic]) -> None:
    fake = api(*DEMONSTRATION)
    sessions = with_model(coding, fake)

    session_id, job = sessions.run("Please greet the world in a file.")

    assert job["status"] == "completed", job["error_message"]
    assert job["result"]["message"] == "greeting.txt says hello."
    assert "greeting.txt" in str(sessions.events(session_id, "file_change"))
    assert len(sessions.events(session_id, "usage")) == len(fake.requests) == 3
    assert KEY not in str(sessions.rows.all("SELECT * FROM session_events"))


def test_the_next_turn_finds_conversation_and_files(coding: Start, api: Callable[..., FakeAnthropic]) -> None:
    fake = api(
        *DEMONSTRATION,
        Reply([{"tool": "bash", "input": {"command": "cat greeting.txt"}}], when="Show it"),
        Reply([{"text": "It says hello."}]),
    )
    sessions = with_model(coding, fake)
    session_id, _ = sessions.run("Please greet the world in a file.")

    job_id = sessions.rows.add_job(
        session_id=session_id, actor="run_coding_session", queue="coding", prompt="Show it to me."
    )
    job = sessions.finished(job_id)

    assert job["result"] == {"turn": 2, "success": True, "message": "It says hello.", "reason": None}
    assert "Hello" in "".join(event["output"] for event in sessions.events(session_id, "terminal"))
    assert "Please greet the world" in str(fake.requests[-1].body["messages"])


def test_user_and_model_are_told_when_the_files_are_in_a_new_sandbox(
    coding: Start, api: Callable[..., FakeAnthropic]
) -> None:
    fake = api(*DEMONSTRATION, Reply([{"text": "I see."}]))
    sessions = with_model(coding, fake)
    session_id, _ = sessions.run("Please greet the world in a file.")

    installation().provider.destroy(session_id)
    job_id = sessions.rows.add_job(session_id=session_id, actor="run_coding_session", queue="coding", prompt="Go on.")
    sessions.finished(job_id)

    (said,) = [event["text"] for event in sessions.events(session_id, "notice")]
    assert said.startswith("the sandbox was new: 1 files of commit")
    assert f"[Of the sandbox, not of the user: {said}]" in str(fake.requests[-1].body["messages"][-1])


def test_a_question_gives_the_slot_back_and_its_answer_goes_on(
    coding: Start, api: Callable[..., FakeAnthropic], rows: Rows
) -> None:
    fake = api(
        Reply([{"tool": "ask", "input": {"question": "Which colour?", "choices": ["red", "blue"]}}]),
        Reply([{"text": "Blue it is."}]),
    )
    sessions = with_model(coding, fake)

    session_id, job = sessions.run("Paint the page, please.")

    assert job["status"] == "completed"
    assert rows.value("SELECT status FROM coding_sessions WHERE id = %s", [session_id]) == "paused"
    (question,) = sessions.events(session_id, "question")
    assert (question["text"], question["choices"]) == ("Which colour?", ["red", "blue"])

    answered = rows.one("SELECT * FROM answer_question(%s, %s, %s, %s)", [session_id, USER, question["callId"], "blue"])
    again = sessions.finished(answered["job_id"])

    assert again["result"]["message"] == "Blue it is."
    assert "blue" in str(fake.requests[-1].body["messages"][-1])
    assert sessions.events(session_id, "answer")


def test_a_script_that_fails_is_a_failed_attempt_with_an_error_event(coding: Start) -> None:
    sessions = coding()

    session_id, job = sessions.run("```sh\necho before; exit 3\n```", max_retries=1)

    assert job["status"] == "failed"
    assert "block 1 failed" in job["error_message"]
    assert sessions.events(session_id, "error")
    assert not sessions.events(session_id, "completion")


def test_a_refused_key_fails_the_job_at_once_without_naming_it(
    coding: Start, api: Callable[..., FakeAnthropic]
) -> None:
    fake = api(*DEMONSTRATION)
    sessions = coding(anthropic_api_key=SecretStr(f"{KEY}-another"), anthropic_base_url=fake.url)

    session_id, job = sessions.run("Please greet the world in a file.")

    assert (job["status"], job["retry_count"]) == ("failed", 1)
    assert "401" in job["error_message"] or "key" in job["error_message"].lower()
    assert "another" not in job["error_message"] + str(sessions.events(session_id, "error"))


def test_a_user_who_lets_it_go_on_gets_the_rest_of_an_answer_that_was_cut(
    coding: Start, api: Callable[..., FakeAnthropic], rows: Rows
) -> None:
    fake = api(
        Reply([{"text": "It begins"}], stop="max_tokens"),
        Reply([{"text": "and ends."}], when="Go on."),
    )
    sessions = with_model(coding, fake)
    session_id, job = sessions.run("Tell me a long story.")
    assert (job["result"]["success"], job["result"]["reason"]) == (False, "max_tokens")

    job_id = rows.add_job(session_id=session_id, actor="run_coding_session", queue="coding", payload={"continue": True})

    assert sessions.finished(job_id)["result"]["message"] == "and ends."
    assert [event["turn"] for event in sessions.events(session_id, "turn_started")] == [1, 2]
