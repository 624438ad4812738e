"""A conversation as the model's API takes it: roles alternate, and each call is followed by its result."""

from collections.abc import Mapping, Sequence
from typing import Any

from actors.coding.agent.runner import Call, Json, Message

NOT_RUN = "Not run: the turn was ended before."
NOT_KNOWN = "Interrupted, outcome unknown: the turn was ended while this ran. Check first."
NOT_ANSWERED = "The user did not answer this, and wrote what follows instead."
_NOTE = "[Of the sandbox, not of the user: "
_DECLINED_PROMPT = "[A message stood here that the model declined to answer.]"
_DECLINED = "I declined to go on with that."


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def note_block(text: str) -> dict[str, Any]:
    """What the model should know of its sandbox; `prompt_of` does without it."""
    return text_block(f"{_NOTE}{text}]")


def prompt_of(message: Message) -> str:
    """What the user has written; empty for results alone."""
    if message.role != "user":
        return ""
    texts = (block["text"] for block in message.content if block["type"] == "text")
    return "\n\n".join(text for text in texts if not text.startswith(_NOTE))


def result_block(call_id: str, result: Json) -> dict[str, Any]:
    return {
        "type": "tool_result",
        "tool_use_id": call_id,
        "content": result["content"],
        "is_error": bool(result.get("is_error")),
    }


def calls_of(message: Message) -> list[Json]:
    return [block for block in message.content if block["type"] == "tool_use"]


def text_of(message: Message) -> str:
    return "\n\n".join(block["text"] for block in message.content if block["type"] == "text").strip()


def merged(messages: Sequence[Message]) -> list[Message]:
    """With alternating roles: a turn that failed leaves its prompt, and the next prompt follows it."""
    found: list[Message] = []
    for message in messages:
        if found and found[-1].role == message.role:
            found[-1] = Message(message.role, [*found[-1].content, *message.content])
        else:
            found.append(message)
    return found


def with_results(messages: Sequence[Message], calls: Mapping[str, Call]) -> list[Message] | None:
    """The conversation with a result for each call that a turn has left without one. None: there is no such call.

    That is so when a turn was cancelled or ran out of time, and when the user writes something instead of an answer.
    """
    found = merged(messages)
    if len(found) < 2 or found[-1].role != "user":  # noqa: PLR2004 -- an assistant's message and what follows
        return None
    has = {block["tool_use_id"] for block in found[-1].content if block["type"] == "tool_result"}
    missing = [block for block in calls_of(found[-2]) if block["id"] not in has]
    if not missing:
        return None
    results = [result_block(block["id"], _left(block, calls.get(block["id"]))) for block in missing]
    return [*found[:-1], Message("user", [*results, *found[-1].content])]


def _left(block: Json, call: Call | None) -> Json:
    if call is not None and call.is_finished and call.result is not None:
        return call.result
    if block["name"] == "ask":
        return {"content": NOT_ANSWERED}
    return {"content": NOT_RUN if call is None else NOT_KNOWN, "is_error": True}


def without_thinking(messages: Sequence[Message]) -> list[Message]:
    """Thinking is bound to the model and the conversation that it comes from: another one refuses it."""
    kept = []
    for message in messages:
        content = [block for block in message.content if block["type"] not in {"thinking", "redacted_thinking"}]
        kept.append(Message(message.role, content or [text_block("[thinking]")]))
    return kept


def without_declined(messages: Sequence[Message]) -> list[Message]:
    """Without what the model has declined: with it, the model would decline each message that follows."""
    found = merged(messages)
    last = max(place for place, message in enumerate(found) if message.role == "user" and text_of(message))
    results = [block for block in found[last].content if block["type"] == "tool_result"]
    placeholder = Message("user", [*results, text_block(_DECLINED_PROMPT)])
    return [*found[:last], placeholder, Message("assistant", [text_block(_DECLINED)])]
