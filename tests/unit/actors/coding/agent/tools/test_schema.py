from typing import Any

import jsonschema
import pytest

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.registry import TOOLS
from actors.coding.agent.tools.schema import broken_rule

TODO, BASH, EDIT, PREVIEW = (TOOLS[name].schema for name in ("todo", "bash", "edit", "preview"))


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        (BASH, {"command": "ls"}, None),
        (BASH, {"command": "ls", "seconds": 1.5}, None),
        (BASH, {}, "command is missing"),
        (BASH, {"command": 1}, "command must be of type string"),
        (BASH, {"command": "ls", "seconds": True}, "seconds must be of type number"),
        (BASH, {"command": "ls", "cwd": "/"}, "cwd is not known, only command, terminal, seconds"),
        (BASH, ["ls"], "the input must be of type object"),
        (EDIT, {"path": "a", "new": "", "all": False}, None),
        (EDIT, {"path": "a", "new": None}, "new must be of type string"),
        (PREVIEW, {"port": "3000"}, "port must be of type integer"),
        (TODO, {"items": []}, None),
        (TODO, {"items": [{"text": "a", "status": "done"}]}, None),
        (TODO, {"items": [{"text": "a", "status": "later"}]}, "status must be one of open, doing, done"),
        (TODO, {"items": [{"text": "a"}]}, "status is missing"),
        (TODO, {"items": ["a"]}, "an item of items must be of type object"),
    ],
)
def test_input_that_does_not_fit_is_named(schema: Json, value: Any, problem: str | None) -> None:
    assert broken_rule(value, schema) == problem
    if "not known" not in (problem or ""):
        assert jsonschema.Draft202012Validator(schema).is_valid(value) is (problem is None)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800", "\udc80"])
def test_text_that_nothing_can_take_is_refused(text: str) -> None:
    assert "holds a character that no text here may" in str(broken_rule({"command": text}, BASH))
    assert broken_rule({"command": "a\U0001f600"}, BASH) is None
