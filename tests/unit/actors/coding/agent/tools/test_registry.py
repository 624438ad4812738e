import jsonschema

from actors.coding.agent.tools.registry import TOOLS


def test_the_agent_has_these_tools() -> None:
    assert list(TOOLS) == ["bash", "read", "edit", "search", "todo", "ask", "preview"]


def test_each_has_a_name_a_text_and_a_schema() -> None:
    for name, tool in TOOLS.items():
        assert tool.name == name
        assert tool.description.endswith(".")
        jsonschema.Draft202012Validator.check_schema(tool.schema)
