from actors.coding.agent.conversation import (
    merged,
    note_block,
    prompt_of,
    text_block,
    text_of,
    with_results,
    without_declined,
    without_thinking,
)
from actors.coding.agent.runner import Call, Message


def user(*texts: str) -> Message:
    return Message("user", [{"type": "text", "text": text} for text in texts])


def called(*ids: str, name: str = "bash") -> Message:
    return Message("assistant", [{"type": "tool_use", "id": one, "name": name, "input": {}} for one in ids])


def results(*ids: str) -> Message:
    return Message("user", [{"type": "tool_result", "tool_use_id": one, "content": ""} for one in ids])


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}


def test_messages_of_one_role_in_a_row_become_one() -> None:
    assert merged([user("a"), user("b"), called("c"), results("c"), user("d")]) == [
        user("a", "b"),
        called("c"),
        Message("user", [*results("c").content, *user("d").content]),
    ]


def test_a_conversation_with_all_results_needs_none() -> None:
    assert with_results([user("a")], {}) is None
    assert with_results([user("a"), called("c")], {}) is None, "its calls are about to run"
    assert with_results([user("a"), called("c"), results("c"), user("b")], {}) is None


def test_the_results_that_are_there_are_kept() -> None:
    repaired = with_results([user("a"), called("c", "d"), results("c"), user("b")], {})

    assert repaired is not None
    assert [block.get("tool_use_id") for block in repaired[-1].content] == ["d", "c", None]


def test_a_finished_call_gives_its_result_to_the_repaired_conversation() -> None:
    call = Call("c", "bash", {}, is_finished=True, result={"content": "fine", "is_error": False})
    repaired = with_results([user("a"), called("c"), user("b")], {"c": call})

    assert repaired is not None
    assert repaired[-1].content[0] == {
        "type": "tool_result",
        "tool_use_id": "c",
        "content": "fine",
        "is_error": False,
    }


def test_thinking_is_left_out_and_no_message_becomes_empty() -> None:
    left = without_thinking(
        [Message("assistant", [THOUGHT, {"type": "text", "text": "a"}]), Message("assistant", [THOUGHT])]
    )

    assert [text_of(message) for message in left] == ["a", "[thinking]"]


def test_what_was_declined_is_replaced_from_its_prompt_on() -> None:
    kept = [user("a"), called("c"), results("c"), Message("assistant", [{"type": "text", "text": "b"}])]

    left = without_declined([*kept, user("bad"), called("d"), results("d")])

    assert left[:4] == kept
    assert [message.role for message in left[4:]] == ["user", "assistant"]
    assert "bad" not in str(left)


def test_results_beside_what_was_declined_are_kept() -> None:
    declined = Message("user", [*results("c").content, *user("bad").content])

    left = without_declined([user("a"), called("c"), declined])

    assert [block["type"] for block in left[2].content] == ["tool_result", "text"]
    assert "bad" not in str(left)


def test_a_note_of_the_sandbox_is_no_prompt() -> None:
    assert prompt_of(Message("user", [text_block("Do this."), note_block("it was new")])) == "Do this."
    assert prompt_of(Message("user", [note_block("it was new")])) == ""
