"""What the Messages API refuses in a request: the rules that a conversation can break when it is put together."""

from collections.abc import Mapping, Sequence
from typing import Any

_BREAKPOINTS = 4  # of the cache, in one request

Block = Mapping[str, Any]


def broken_rule(body: Mapping[str, Any]) -> str | None:
    """What the API would answer 400 for. None: it would take this request."""
    messages = body["messages"]
    if not messages or messages[0]["role"] != "user":
        return "messages: first message must use the user role"
    if messages[-1]["role"] != "user":
        return "messages: this model does not support assistant message prefill"
    if _breakpoints(body) > _BREAKPOINTS:
        return f"a maximum of {_BREAKPOINTS} blocks with cache_control may be provided"
    for place, (message, following) in enumerate(zip(messages, [*messages[1:], None], strict=True)):
        if problem := _broken_in(message, following, body):
            return f"messages.{place}: {problem}"
    return None


def _broken_in(message: Mapping[str, Any], following: Mapping[str, Any] | None, body: Mapping[str, Any]) -> str | None:
    if following and following["role"] == message["role"]:
        return "roles must alternate"
    if not message["content"]:
        return "content must not be empty"
    known = {tool["name"] for tool in body.get("tools", ())}
    for block in message["content"]:
        if problem := _broken_block(block, known):
            return problem
    called = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
    answered = _results(following["content"]) if following else []
    if called and (message["role"] != "assistant" or sorted(called) != sorted(answered)):
        return f"tool_use ids {called} were found without tool_result blocks immediately after: {answered}"
    if not called and message["role"] == "assistant" and answered:
        return f"unexpected tool_use_id in tool_result blocks: {answered}"
    return None


def _broken_block(block: Block, known: set[str]) -> str | None:
    match block:
        case {"type": "text", "text": str(text)} if text.strip():
            return None
        case {"type": "text"}:
            return "text content blocks must contain non-whitespace text"
        case {"type": "thinking", "signature": str(signature), "thinking": str()} if signature:
            return "thinking blocks take no cache_control" if "cache_control" in block else None
        case {"type": "tool_use", "name": name, "input": dict()}:
            return None if name in known else f"tool {name} is not defined"
        case {"type": "tool_result", "tool_use_id": str(), "content": str() | list()}:
            return None if known else "requests with tool results must define tools"
        case _:
            return f"malformed block: {block}"


def _results(content: Sequence[Block]) -> list[str]:
    return [block["tool_use_id"] for block in content if block["type"] == "tool_result"]


def _breakpoints(body: Mapping[str, Any]) -> int:
    blocks = [*body.get("system", ()), *body.get("tools", ())]
    blocks += [block for message in body["messages"] for block in message["content"]]
    return sum("cache_control" in block for block in blocks)
