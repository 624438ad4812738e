"""What the loop makes of the ways in which the Messages API can answer, or not."""

import json
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from actors.coding.agent.agent_sdk_loop import AgentSdkLoop
from actors.coding.agent.claude_loop import ClaudeLoop
from actors.coding.agent.runner import AgentRunner, Asks, Finished, Message, OverBudget
from bridge import Fail, NotOursError, Retry
from bridge.errors import SettingsError
from tests.support.agent_sdk import claude_code
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.kills import Killed
from tests.support.message_rules import broken_rule
from tests.support.scripted_replies import Refused, Reply
from tests.support.sized import by_size, sized
from tests.support.stage import Stage
from tests.support.waiting import eventually

pytestmark = sized
KEY = "sk-ant-geheim"
OVERLOADED = Refused(529, "overloaded_error", "Overloaded")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, "Hello?")


@pytest.fixture
def fakes() -> Iterator[list[FakeAnthropic]]:
    made: list[FakeAnthropic] = []
    yield made
    for fake in made:
        assert not [problem for asked in fake.requests if (problem := broken_rule(asked.body))]
        fake.__exit__()


class Loops:
    """Makes loops on a fake API."""

    def __init__(self, made: list[FakeAnthropic], kind: str) -> None:
        self._made, self._kind = made, kind

    def __call__(self, *replies: Reply, **options: Any) -> AgentRunner:
        self._made.append(FakeAnthropic(replies, key=KEY).__enter__())
        key, options = options.pop("key", KEY), {"first_wait_seconds": 0.01, **options}
        if self._kind == "claude-agent-sdk":
            return AgentSdkLoop(claude_code(), key, self.fake.url, **options)
        return ClaudeLoop(key, self.fake.url, **options)

    @property
    def fake(self) -> FakeAnthropic:
        return self._made[-1]


@pytest.fixture(params=["claude", *by_size([], ["claude-agent-sdk"])])
def loop(fakes: list[FakeAnthropic], request: pytest.FixtureRequest) -> Loops:
    return Loops(fakes, request.param)


def test_text_and_thinking_are_shown_and_kept_with_the_signature(loop: Loops, stage: Stage) -> None:
    ending = stage.run(loop(Reply([{"thinking": "A greeting. " * 5}, {"text": "Hello! " * 5}])))

    assert ending == Finished(("Hello! " * 5).strip())
    assert stage.shown() == "Hello! " * 5
    assert stage.shown("thinking") == "A greeting. " * 5
    assert {data["message"] for data in stage.events.of("text")} == {1}
    assert stage.record.stored[1].content[0] == {
        "type": "thinking",
        "thinking": "A greeting. " * 5,
        "signature": "signature 0",
    }


def test_parallel_calls_all_get_their_results_in_one_message(loop: Loops, stage: Stage) -> None:
    calls = [{"tool": "bash", "input": {"command": f"echo {name}"}} for name in ("a", "b", "c")]

    stage.run(loop(Reply(calls), Reply([{"text": "abc"}])))

    assert [block["content"] for block in stage.record.stored[2].content] == ["a", "b", "c"]


def test_a_refused_key_fails_the_turn_in_one_line_without_the_key(loop: Loops, stage: Stage) -> None:
    with pytest.raises(Fail) as raised:
        stage.run(loop(Reply(), key="sk-ant-another-geheim"))

    assert str(raised.value) == (
        "the model's API answers 401 authentication_error: invalid x-api-key; check ANTHROPIC_API_KEY"
    )
    assert len(loop.fake.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, "invalid_request_error", "; the request does not suit it"),
        (402, "billing_error", "; check the account's credit"),
        (403, "permission_error", "; check what ANTHROPIC_API_KEY may use"),
        (404, "not_found_error", "; check AGENT_MODEL and ANTHROPIC_BASE_URL"),
        (413, "request_too_large", "; the conversation is too large"),
        (422, "invalid_request_error", ""),
    ],
)
def test_what_no_other_try_helps_fails_the_turn(loop: Loops, stage: Stage, status: int, kind: str, advice: str) -> None:
    message = f"bad\n\nthing with {KEY} " + "x" * 1000
    with pytest.raises(Fail) as raised:
        stage.run(loop(Reply(refused=[Refused(status, kind, message)] * 9)))

    line = str(raised.value)
    assert line.startswith(f"the model's API answers {status} {kind}: bad thing with *** xxx")
    assert line.endswith(advice)
    assert len(line) < 500
    assert len(loop.fake.requests) == 1
    assert [usage.cost_usd for usage in stage.record.spent] == [0], "what was set aside is free again"


@pytest.mark.parametrize(
    "reply",
    [
        Reply([{"text": "Hello there, how are you?"}], refused=[OVERLOADED]),
        Reply(
            [{"text": "Hello there, how are you?"}],
            refused=[Refused(429, "rate_limit_error", "", {"retry-after": "0.1"})],
        ),
        Reply([{"text": "Hello there, how are you?"}], refused=[Refused(500, "api_error")] * 3),
        Reply([{"text": "Hello there, how are you?"}], cut_after=0),
        Reply([{"text": "Hello there, how are you?"}], cut_after=4),
        Reply([{"text": "Hello there, how are you?"}], error_after=(4, "overloaded_error")),
    ],
)
def test_what_may_pass_is_tried_again_within_the_turn(loop: Loops, stage: Stage, reply: Reply) -> None:
    assert stage.run(loop(reply)) == Finished("Hello there, how are you?")

    shown = [kind for kind, _ in stage.events.all]
    assert shown.count("retracted") == (1 if reply.cut_after == 4 or reply.error_after else 0)
    if "retracted" in shown:
        after = stage.events.all[shown.index("retracted") + 1 :]
        assert "".join(data["text"] for kind, data in after if kind == "text") == "Hello there, how are you?"
        assert len(stage.record.spent) == 2, "an answer that broke off costs, too"


def test_each_wait_is_longer_than_the_one_before(loop: Loops, stage: Stage) -> None:
    stage.run(loop(Reply([{"text": "Hello"}], refused=[OVERLOADED] * 3), first_wait_seconds=0.1))

    times = [asked.at for asked in loop.fake.requests]
    first, second, third = (after - before for before, after in pairwise(times))
    assert 0.08 <= first < second < third


def test_the_api_says_how_long_to_wait(loop: Loops, stage: Stage) -> None:
    reply = Reply([{"text": "Hello"}], refused=[Refused(429, "rate_limit_error", "", {"retry-after": "0.5"})])

    stage.run(loop(reply))

    before, after = (asked.at for asked in loop.fake.requests)
    assert after - before >= 0.5


@pytest.mark.parametrize(
    ("reply", "requests", "delay"),
    [
        (Reply(refused=[OVERLOADED] * 9), 4, None),
        (Reply(refused=[Refused(429, "rate_limit_error", "", {"retry-after": "90"})] * 9), 1, 90),
        (Reply([{"text": "Hello there"}], cut_after=3, faulty=9), 4, None),
        (Reply([{"text": "Hello there"}], error_after=(3, "api_error"), faulty=9), 4, None),
    ],
)
def test_what_does_not_pass_is_tried_in_a_later_attempt(
    loop: Loops, stage: Stage, reply: Reply, requests: int, delay: float | None
) -> None:
    with pytest.raises(Retry) as raised:
        stage.run(loop(reply))

    assert len(loop.fake.requests) == requests
    assert (raised.value.delay.total_seconds() if raised.value.delay else None) == delay
    assert f"tried {requests} times" in str(raised.value)
    assert len(stage.record.stored) == 1


def test_an_error_inside_a_stream_that_no_try_helps_fails_the_turn(loop: Loops, stage: Stage) -> None:
    with pytest.raises(Fail, match="broke off with invalid_request_error: as scripted"):
        stage.run(loop(Reply([{"text": "Hello"}], error_after=(3, "invalid_request_error"))))


def test_nobody_listens_there(stage: Stage) -> None:
    with pytest.raises(Retry, match="the link to the model's API failed"):
        stage.run(ClaudeLoop(KEY, "http://127.0.0.1:9", first_wait_seconds=0.01))


def test_a_refusal_ends_the_turn_and_leaves_the_conversation(loop: Loops, stage: Stage) -> None:
    agent = loop(Reply([{"text": "I would rather"}], stop="refusal", when="Hello?"), Reply([{"text": "Gladly."}]))

    ending = stage.run(agent)

    assert isinstance(ending, Finished)
    assert ending.reason == "refusal"
    assert stage.events.of("retracted") == [{"message": 1}]
    assert "Hello?" not in str(stage.record.stored)
    assert "Hello?" in str(stage.record.replaced), "it stays stored"
    stage.record.stored.append(Message("user", [{"type": "text", "text": "Something else."}]))
    assert stage.run(agent) == Finished("Gladly.")


def test_a_call_that_was_cut_off_is_not_run(loop: Loops, stage: Stage, tmp_path: Path) -> None:
    cut = Reply([{"tool": "bash", "json": '{"command": "touch ran', "input": {}}], stop="max_tokens")

    ending = stage.run(loop(cut, Reply([{"text": "In smaller parts."}])))

    assert ending == Finished("In smaller parts.")
    assert not (tmp_path / "ran").exists()
    [told] = stage.record.stored[2].content
    assert told["is_error"]
    assert "cut off at its limit of tokens inside this call" in told["content"]


def test_a_whole_input_inside_a_block_that_never_ended_is_not_run_either(
    loop: Loops, stage: Stage, tmp_path: Path
) -> None:
    cut = Reply([{"tool": "bash", "input": {"command": "touch ran"}}], stop="max_tokens")

    stage.run(loop(cut, Reply([{"text": "Again."}])))

    assert not (tmp_path / "ran").exists()


def test_a_text_that_was_cut_off_ends_the_turn_and_says_so(loop: Loops, stage: Stage) -> None:
    ending = stage.run(loop(Reply([{"text": "And then"}], stop="max_tokens")))

    assert ending == Finished("And then", reason="max_tokens")


@pytest.mark.parametrize("blocks", [[], [{"text": ""}], [{"text": " \n"}]])
def test_an_empty_answer_can_be_followed(loop: Loops, stage: Stage, blocks: list[dict[str, str]]) -> None:
    agent = loop(Reply(blocks), Reply([{"text": "Now."}]))
    assert stage.run(agent) == Finished("[no answer]")
    stage.record.stored.append(Message("user", [{"type": "text", "text": "And?"}]))

    assert stage.run(agent) == Finished("Now.")


def test_a_question_pauses_and_its_answer_goes_on(loop: Loops, stage: Stage) -> None:
    blocks = [
        {"tool": "ask", "input": {"question": "Which?", "choices": ["a", "b"]}, "id": "q"},
        {"tool": "bash", "input": {"command": "echo beside"}, "id": "b"},
    ]
    agent = loop(Reply(blocks), Reply([{"text": "Then b."}]))

    assert stage.run(agent) == Asks("q", "Which?", ("a", "b"))
    assert stage.record.finished == ["b"]
    assert stage.run(agent) == Asks("q", "Which?", ("a", "b")), "still unanswered"
    stage.record.answer("q", "b, please")

    assert stage.run(agent) == Finished("Then b.")
    assert [block["content"] for block in stage.record.stored[2].content] == ["b, please", "beside"]
    assert stage.sandbox.ran == {"b": 1}


def test_what_the_user_writes_instead_of_an_answer(loop: Loops, stage: Stage) -> None:
    agent = loop(Reply([{"tool": "ask", "input": {"question": "Which?"}}]), Reply([{"text": "Good."}]))
    stage.run(agent)
    stage.record.stored.append(Message("user", [{"type": "text", "text": "Forget it."}]))

    assert stage.run(agent) == Finished("Good.")
    assert "did not answer" in stage.record.stored[2].content[0]["content"]


@pytest.mark.parametrize("silent_after", [-1, 0, 4])
def test_a_cancel_while_the_model_is_silent_takes_no_time(loop: Loops, stage: Stage, silent_after: int) -> None:
    agent = loop(Reply([{"text": "Hello there"}], silent_after=silent_after, faulty=9))
    cancelled_at: list[float] = []

    def cancel() -> None:
        eventually(lambda: stage.waits and loop.fake.requests, what="the request")
        eventually(lambda: silent_after < 4 or stage.shown(), what="the text before the silence")
        cancelled_at.append(time.monotonic())
        stage.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(NotOursError):
        stage.run(agent)
    took = time.monotonic() - cancelled_at[0]
    canceller.join()
    assert took < 1


def test_a_cancel_while_the_next_try_is_waited_for_takes_no_time(loop: Loops, stage: Stage) -> None:
    agent = loop(Reply(refused=[Refused(429, "rate_limit_error", "", {"retry-after": "20"})] * 9))

    def cancel() -> None:
        eventually(lambda: loop.fake.requests and stage.record.spent and stage.waits, what="the wait")
        stage.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    began = time.monotonic()
    with pytest.raises(NotOursError):
        stage.run(agent)
    canceller.join()
    assert time.monotonic() - began < 5


def test_the_conversation_grows_into_the_cache(loop: Loops, stage: Stage) -> None:
    calls = [Reply([{"tool": "bash", "input": {"command": f"echo {number}"}}]) for number in range(3)]

    stage.run(loop(*calls, Reply([{"text": "Done."}])))

    last = loop.fake.requests[-1].body
    assert "cache_control" in last["system"][-1]
    assert [tool["name"] for tool in last["tools"] if "cache_control" in tool] == ["preview"]
    marked = [place for place, one in enumerate(last["messages"]) if "cache_control" in str(one["content"])]
    assert marked == [4, 6]
    before = loop.fake.requests[-2].body["messages"]
    assert _plain(last["messages"][: len(before)]) == _plain(before), "what was cached is sent as it was"
    assert last["thinking"] == {"type": "adaptive", "display": "summarized"}


def _plain(messages: Any) -> Any:
    return json.loads(json.dumps(messages).replace(', "cache_control": {"type": "ephemeral"}', ""))


def test_each_request_is_paid_for_and_kept_below_what_was_set_aside(loop: Loops, stage: Stage) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 500, "cache_read_input_tokens": 9000}
    call = {"tool": "bash", "input": {"command": "true"}}

    stage.run(loop(Reply([call], usage=usage), Reply([{"text": "Done."}], usage=usage)))

    assert [usage.cost_usd for usage in stage.record.spent] == pytest.approx([0.0079, 0.0079])
    assert all(usage.cost_usd < aside for usage, aside in zip(stage.record.spent, stage.record.reserved, strict=True))
    assert [(data["model"], data["costUsd"]) for data in stage.events.of("usage")] == [
        ("claude-sonnet-5-5", 0.0079)
    ] * 2


def test_a_request_that_could_exceed_the_budget_is_not_made(loop: Loops, tmp_path: Path) -> None:
    stage = Stage(tmp_path, "Hello?", limit_usd=0.1)

    assert stage.run(loop(Reply([{"text": "Hello"}]))) == OverBudget("turn", 0, 0.1)
    assert loop.fake.requests == []


def test_a_model_without_a_price_is_not_asked(loop: Loops, stage: Stage) -> None:
    with pytest.raises(SettingsError, match="AGENT_PRICE"):
        stage.run(loop(Reply()), model="llama")
    assert stage.run(loop(Reply([{"text": "Hi"}]), price="0,0"), model="llama") == Finished("Hi")
    assert "thinking" not in loop.fake.requests[0].body


def test_a_long_conversation_is_summed_up_and_stays_stored(loop: Loops, stage: Stage) -> None:
    call = {"tool": "bash", "input": {"command": "seq 1 3000"}}
    summary = Reply([{"text": "They said hello."}], when="Write a summary")
    agent = loop(
        Reply([call]),
        Reply([{"text": "Done."}]),
        summary,
        Reply([{"text": "Go on."}], when="in short"),
        compact_tokens=4000,
    )

    assert stage.run(agent) == Finished("Go on.")

    assert len(stage.record.stored) == 2
    assert "They said hello." in stage.record.stored[0].content[0]["text"]
    assert [len(messages) for messages in stage.record.replaced] == [3]
    assert stage.events.of("compacted") == [{"messages": 3}]
    assert "They said" not in stage.shown()
    assert [usage.input_tokens for usage in stage.record.spent] == [100, 100, 100]


def test_a_conversation_that_is_too_long_even_to_sum_up(loop: Loops, stage: Stage) -> None:
    call = {"tool": "bash", "input": {"command": "seq 1 3000"}}
    refused = Reply(
        when="Write a summary", refused=[Refused(400, "invalid_request_error", "prompt is too long: 9 > 8")]
    )
    agent = loop(
        Reply([call]), refused, Reply([{"text": "Go on."}], when="could not be summed up"), compact_tokens=4000
    )

    assert stage.run(agent) == Finished("Go on.")


def test_the_users_words_survive_the_summary(loop: Loops, stage: Stage) -> None:
    stage.record.inbox = ["Mind the gap."]
    call = {"tool": "bash", "input": {"command": "seq 1 3000"}}
    summary = Reply([{"text": "They said hello."}], when="Write a summary")

    stage.run(loop(Reply([call]), summary, Reply([{"text": "Go on."}], when="in short"), compact_tokens=4000))

    assert stage.record.stored[0].content[1] == {"type": "text", "text": "Mind the gap."}


def test_thinking_of_another_model_is_left_out_when_it_is_refused(loop: Loops, stage: Stage) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "of another model"}
    stage.record.stored.append(Message("assistant", [thought]))
    stage.record.stored.append(Message("user", [{"type": "text", "text": "And?"}]))
    refused = Refused(400, "invalid_request_error", "messages.1.content.0: Invalid `signature` in `thinking` block")
    call = Reply([{"thinking": "Mine."}, {"tool": "bash", "input": {"command": "true"}}], refused=[refused])

    assert stage.run(loop(Reply(), call, Reply([{"text": "Well."}]))) == Finished("Well.")

    seen = [str(asked.body["messages"]) for asked in loop.fake.requests]
    assert ["of another model" in one for one in seen] == [True, False, False]
    assert "Mine." in seen[2]
    assert stage.record.stored[1].content == [thought], "the record keeps it"


def test_a_kill_inside_a_stream_stores_nothing_of_it(loop: Loops, stage: Stage) -> None:
    agent = loop(Reply([{"text": "Hello there, how are you?"}]))
    shown = stage.events.text

    def killed(event_type: str, piece: str, fields: Any) -> None:
        shown(event_type, piece, fields)
        raise Killed

    stage.events.text = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        stage.run(agent)
    stage.events.text = shown  # type: ignore[method-assign]

    assert stage.run(agent) == Finished("Hello there, how are you?")
    assert [kind for kind, _ in stage.events.all][:2] == ["text", "retracted"]
