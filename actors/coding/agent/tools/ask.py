"""The tool `ask`: a question to the user. It ends the turn, and its result is the answer, however much later."""

from typing import ClassVar

from actors.coding.agent.runner import Asks, Json
from actors.coding.agent.tools.tool import Invocation, Tool


class Ask(Tool):
    name = "ask"
    description = (
        "Ask the user one question, when the work cannot go on without the answer, and wait for it. Offer `choices` if "
        "there are some."
    )
    schema: ClassVar[Json] = {
        "type": "object",
        "properties": {
            "question": {"type": "string"},
            "choices": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["question"],
    }

    def run(self, call: Invocation) -> Asks:
        return Asks(call.call_id, call.input["question"], tuple(call.input.get("choices", ())))

    def resume(self, call: Invocation) -> Asks:
        return self.run(call)
