"""Claude Code beside the turn's thread: in a thread of its own it is started, told to go on, and its calls answered."""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from actors.coding.agent.agent_sdk.command import SERVER, command, environment
from actors.coding.agent.agent_sdk.gateway import Gateway
from actors.coding.agent.agent_sdk.process import ClaudeCodeProcess
from actors.coding.agent.claude.instructions import SYSTEM
from actors.coding.agent.tools.tool import Tool

_GO_ON = "Go on."
_STORED = "The result is in the conversation."
_LONGEST = 300  # characters of what it says about its end


class ClaudeCode:
    """`with ClaudeCode(…) as claude_code`; it starts with the first `go_on`, and is killed at the end.

    It learns neither what the user says nor what calls give: the conversation is put into its requests. A call that it
    makes waits until the turn goes on.
    """

    def __init__(self, program: Path, model: str, tools: Mapping[str, Tool], gateway: Gateway) -> None:
        self._program, self._model, self._tools, self._gateway = program, model, tools, gateway
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="claude code", daemon=True)
        self._is_wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_over = False
        self.failure: str | None = None
        """Why it has ended, if it has."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.ident is None:
            self._loop.close()
            return
        self._soon(self._cancel)
        self._thread.join()

    def go_on(self) -> None:
        """The turn waits for its next request. To be followed by `was_asked`."""
        if self._thread.ident is None:
            self._is_wanted.set()
            self._thread.start()
        else:
            self._soon(self._is_wanted.set)

    def was_asked(self) -> None:
        self._soon(self._is_wanted.clear)

    def _soon(self, step: Any) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(step)

    def _cancel(self) -> None:
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._work())
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 -- whatever ends it is for the turn's thread
            self.failure = " ".join(str(error).split())[:_LONGEST] or type(error).__name__
        finally:
            self._gateway.wake()

    async def _work(self) -> None:
        sdk: Any = import_module("claude_agent_sdk")  # here: a worker without sessions must not pay for it
        self._task = asyncio.current_task()
        if self._is_over:  # before it began
            return
        with tempfile.TemporaryDirectory(prefix="mobvibe-claude-code-", ignore_cleanup_errors=True) as folder:
            process = ClaudeCodeProcess(
                command(self._program, self._model, SYSTEM, [*self._tools]),
                environment(self._gateway, Path(folder)),
                folder,
            )
            options = sdk.ClaudeAgentOptions(mcp_servers={SERVER: self._server(sdk)})
            async with sdk.ClaudeSDKClient(options, transport=process) as client:
                await self._converse(client)

    async def _converse(self, client: Any) -> None:
        while True:
            await self._is_wanted.wait()
            asked = self._gateway.count
            await client.query(_GO_ON)
            said = [message async for message in client.receive_response()]
            if self._gateway.count == asked:
                raise RuntimeError(f"it ended its turn without a request: {getattr(said[-1], 'result', said[-1])}")

    def _server(self, sdk: Any) -> Any:
        async def wait(_: object) -> dict[str, Any]:
            await self._is_wanted.wait()
            return {"content": [{"type": "text", "text": _STORED}]}

        made = [sdk.tool(tool.name, tool.description, dict(tool.schema))(wait) for tool in self._tools.values()]
        return sdk.create_sdk_mcp_server(SERVER, tools=made)
