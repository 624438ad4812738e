from threading import Thread

import pytest

from actors.coding.agent.tools.bash import Bash
from actors.coding.agent.tools.tool import UNKNOWN, ToolError
from tests.support.folder_sandbox import FolderSandbox
from tests.support.kept_events import KeptEvents
from tests.support.waiting import eventually
from tests.unit.actors.coding.agent.tools.conftest import MakeCall


@pytest.mark.parametrize(
    ("command", "content", "is_error"),
    [
        ("echo hello", "hello", False),
        ("true", "[no output, exit code 0]", False),
        ("false", "[exit code 1]", True),
        ("echo no >&2; exit 3", "no\n[exit code 3]", True),
        (r"printf '\033[31mred\033[0m \033[2J\033]0;title\007done'", "red done", False),
        (r"printf 'a\0b\377'", "ab\N{REPLACEMENT CHARACTER}", False),
    ],
)
def test_the_model_gets_output_and_exit_code(call: MakeCall, command: str, content: str, is_error: bool) -> None:
    result = Bash().run(call(command=command))

    assert (result.content, result.is_error) == (content, is_error)


@pytest.mark.parametrize(("given", "kind"), [({}, "pipe"), ({"terminal": True}, "terminal")])
def test_a_terminal_is_there_when_asked_for(call: MakeCall, given: dict[str, bool], kind: str) -> None:
    script = 'test -t 1 && echo terminal || echo pipe; echo "it\'s $0"; exit 3'

    result = Bash().run(call(command=script, **given))

    assert result.content == f"{kind}\nit's bash\n[exit code 3]"


def test_the_output_is_shown_with_its_colours(call: MakeCall, events: KeptEvents) -> None:
    Bash().run(call(command=r"printf '\033[31mred\033[0m\033[2J'"))

    assert events.all == [("terminal", {"callId": "call", "text": "\x1b[31mred\x1b[0m"})]


def test_a_long_output_keeps_its_ends_and_says_what_is_cut(call: MakeCall, events: KeptEvents) -> None:
    result = Bash().run(call(command="echo begins; head -c 2000000 /dev/zero | tr '\\0' x; echo; echo ends"))

    assert result.content.startswith("begins\n")
    assert result.content.endswith("x\nends")
    assert "[… 1,970,013 characters left out here …]" in result.content
    assert len(result.content) < 31_000
    assert sum(len(data["text"]) for data in events.of("terminal")) < 1_000_100
    assert str(events.all[-1][1]["text"]).endswith("[more output is not shown]\n")


def test_a_command_ends_in_its_time_and_in_that_of_the_turn(call: MakeCall) -> None:
    assert Bash().run(call(command="echo a; sleep 60", seconds=4)).content == "a\n[ended after 4 s]"
    assert Bash().run(call({"command": "sleep 60", "seconds": 1}, call_id="two")).content == "[ended after 1 s]"


def test_a_command_that_no_system_takes_is_refused(call: MakeCall) -> None:
    assert Bash().run(call(command="true #" + "x" * 131_065)).content == "[no output, exit code 0]"
    with pytest.raises(ToolError, match="larger than 128 kB"):
        Bash().run(call(command="true #" + "x" * 131_066, call_id="second"))


def test_a_command_that_an_earlier_attempt_started_is_waited_for(call: MakeCall, sandbox: FolderSandbox) -> None:
    Bash().run(call(command="echo once"))

    assert Bash().resume(call(command="echo once")).content == "once"
    assert sandbox.ran == {"call": 1}


def test_what_became_of_a_lost_command_is_unknown(call: MakeCall, sandbox: FolderSandbox) -> None:
    Bash().run(call(command="echo once"))
    sandbox.forget()

    assert Bash().resume(call(command="echo once")) is UNKNOWN


def test_a_command_that_was_stopped_with_its_worker_is_not_said_to_have_failed(
    call: MakeCall, sandbox: FolderSandbox
) -> None:
    def stop() -> None:
        eventually(lambda: sandbox._running)
        sandbox.end("call")

    stopping = Thread(target=stop)
    stopping.start()
    result = Bash().run(call(command="sleep 60"))
    stopping.join()

    assert result.is_error
    assert "outcome unknown" in result.content
