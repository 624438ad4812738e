"""The tool `todo`: the agent's list of steps. It gives the progress of a session as a fraction."""

from typing import ClassVar

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.tool import Invocation, Result, Tool


class Todo(Tool):
    name = "todo"
    description = (
        "Write down the steps of a longer task, and keep the list up to date: the user sees it as progress. "
        "Each call gives the whole list anew."
    )
    schema: ClassVar[Json] = {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "text": {"type": "string"},
                        "status": {"type": "string", "enum": ["open", "doing", "done"]},
                    },
                    "required": ["text", "status"],
                },
            }
        },
        "required": ["items"],
    }

    def run(self, call: Invocation) -> Result:
        items = call.input["items"]
        done = sum(item["status"] == "done" for item in items)
        fraction = round(done / len(items), 3) if items else 0.0
        progress = {"done": done, "total": len(items), "fraction": fraction, "items": items}
        return Result(f"Noted: {done} of {len(items)} done.", events=[("progress", progress)])

    def resume(self, call: Invocation) -> Result:
        return self.run(call)
