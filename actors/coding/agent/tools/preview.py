"""The tool `preview`: an address under which the user can look at a server that runs in the sandbox."""

from typing import ClassVar

from actors.coding.agent.runner import Json
from actors.coding.agent.tools.tool import Invocation, Result, Tool, ToolError
from actors.coding.sandbox.base import ExposesPorts

_LOWEST, _HIGHEST = 1024, 65535  # below are the ports of the system, which need root


class Preview(Tool):
    name = "preview"
    description = "Let the user see a web server that you have started in the sandbox: gives the address of its port."
    schema: ClassVar[Json] = {"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]}

    def run(self, call: Invocation) -> Result:
        port = call.input["port"]
        if not _LOWEST <= port <= _HIGHEST:
            raise ToolError(f"the port must be from {_LOWEST} to {_HIGHEST}")
        if not isinstance(call.sandbox, ExposesPorts):
            raise ToolError(
                "this sandbox cannot show a port to the user: describe what is to be seen, or ask for tests"
            )
        address = call.sandbox.expose(port)
        return Result(f"The user sees port {port} at {address}", events=[("preview", {"port": port, "url": address})])

    def resume(self, call: Invocation) -> Result:
        return self.run(call)
