from typing import ClassVar

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.tool import UNKNOWN, Invocation, Result, Tool
from tests.unit.actors.coding.agent.tools.conftest import MakeCall


class Deploy(Tool):
    name = "deploy"
    description = "Deploy."
    schema: ClassVar[Json] = {"type": "object", "properties": {}}

    def run(self, call: Invocation) -> Result:
        return Result("deployed")


def test_a_tool_that_cannot_find_out_does_not_run_again(call: MakeCall) -> None:
    assert Deploy().prepare(call()) == {}
    assert Deploy().resume(call()) is UNKNOWN
