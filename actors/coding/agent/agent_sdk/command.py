"""How Claude Code is started: its arguments, and an environment that holds nothing of the worker's."""

import json
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from actors.coding.agent.agent_sdk.gateway import Gateway
from actors.coding.agent.claude.request import MAX_TOKENS

SERVER = "mobvibe"
TOOL_PREFIX = f"mcp__{SERVER}__"
"""What the names of our tools begin with in Claude Code."""

_LAUNCHER = Path(__file__).with_name("launcher.py")
_NO_LIMIT_MS = 24 * 3600 * 1000  # a day: the turn has a limit of its own, and the link to the API has one
# Each is a request, a file or a thread that a turn does not need.
_OFF = (
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS", "DISABLE_AUTOUPDATER", "DISABLE_AUTO_COMPACT", "DISABLE_TELEMETRY",
)  # fmt: skip


def find_program() -> Path | None:
    """The Claude Code that the SDK brings with it. None: the SDK is not installed, or not with one."""
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "_bundled" / "claude"
    return program if program.is_file() else None


def command(program: Path, model: str, system: str, tools: Sequence[str]) -> list[str]:
    """Without its own tools, files, settings and sessions: with the tools of our server alone."""
    servers = {"mcpServers": {SERVER: {"type": "sdk", "name": SERVER}}}
    return [
        sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(program),
        "--input-format", "stream-json", "--output-format", "stream-json", "--verbose",
        "--model", model, "--system-prompt", system,
        "--tools", "", "--mcp-config", json.dumps(servers), "--strict-mcp-config",
        "--allowedTools", ",".join(TOOL_PREFIX + name for name in tools), "--permission-mode", "dontAsk",
        "--setting-sources=", "--disable-slash-commands", "--no-session-persistence",
    ]  # fmt: skip


def environment(gateway: Gateway, folder: Path) -> dict[str, str]:
    """`folder` is all that it may write to."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "CLAUDE_CONFIG_DIR": str(folder),
        "ANTHROPIC_BASE_URL": gateway.url,
        "ANTHROPIC_API_KEY": gateway.token,
        "CLAUDE_CODE_ENTRYPOINT": "sdk-py",
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(MAX_TOKENS),
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "ENABLE_TOOL_SEARCH": "0",
        **dict.fromkeys(_OFF, "1"),
        **dict.fromkeys(("API_TIMEOUT_MS", "MCP_TOOL_TIMEOUT"), str(_NO_LIMIT_MS)),
        **dict.fromkeys(("CLAUDE_STREAM_FIRST_BYTE_TIMEOUT_MS", "CLAUDE_STREAM_IDLE_TIMEOUT_MS"), str(_NO_LIMIT_MS)),
    }
