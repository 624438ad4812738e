import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from actors.coding.agent.claude.link import Link
from actors.coding.agent.claude.problems import Problem
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.scripted_replies import Reply
from tests.support.waiting import eventually

BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}],
}


def test_the_events_come_as_they_were_sent() -> None:
    with FakeAnthropic([Reply([{"text": "Hello"}])]) as fake, Link("k", fake.url) as link:
        kinds = [event["type"] for event in link.events(BODY)]

    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


def test_a_silent_link_is_given_up() -> None:
    with FakeAnthropic([Reply([{"text": "Hello"}], silent_after=3)]) as fake:
        began = time.monotonic()
        with Link("k", fake.url, silent_seconds=0.3) as link, pytest.raises(Problem) as raised:
            list(link.events(BODY))

    assert raised.value.may_pass
    assert "ReadTimeout" in raised.value.text
    assert time.monotonic() - began < 5


def test_another_thread_wakes_one_that_reads_also_on_a_link_that_was_used_before() -> None:
    silent = Reply([{"text": "Hello"}], silent_after=3, when="silence")
    asked = {**BODY, "messages": [{"role": "user", "content": [{"type": "text", "text": "silence"}]}]}
    with FakeAnthropic([Reply([{"text": "Hello"}]), silent]) as fake, Link("k", fake.url) as link:
        list(link.events(BODY))

        def shut() -> None:
            eventually(lambda: len(fake.requests) == 2)
            link.shut()

        shutter = threading.Thread(target=shut)
        shutter.start()
        began = time.monotonic()
        with pytest.raises(Problem):
            list(link.events(asked))
        shutter.join()

    assert time.monotonic() - began < 3


def test_a_link_that_is_shut_while_it_connects_is_not_used() -> None:
    with FakeAnthropic([Reply([{"text": "Hello"}], silent_after=3)]) as fake, Link("k", fake.url) as link:
        link.shut()
        began = time.monotonic()
        with pytest.raises(Problem):
            list(link.events(BODY))

    assert time.monotonic() - began < 3


def test_what_is_no_messages_api_is_said() -> None:
    with FakeAnthropic([Reply()]) as fake, Link("k", f"{fake.url}/elsewhere") as link, pytest.raises(Problem) as raised:
        list(link.events(BODY))

    assert not raised.value.may_pass
    assert "404 not_found_error" in raised.value.text


def test_nothing_heavy_is_loaded_before_the_first_session() -> None:
    program = (
        "import sys, actors.coding.agent.claude_loop, actors.coding.agent.scripted; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'anthropic', 'httpx2', 'httpcore2', 'jiter'}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"DATABASE_URL": "postgresql://u@h/d", "REDIS_URL": "redis://h", "PATH": "/usr/bin:/bin"},
    )

    assert (ended.stdout, ended.stderr) == ("[]\n", "")
