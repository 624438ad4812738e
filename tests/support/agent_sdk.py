"""Claude Code as claude-agent-sdk brings it, for tests of the agent on it."""

import os
from pathlib import Path

import pytest

from actors.coding.agent.agent_sdk.command import find_program


def claude_code() -> Path:
    """Skips the test where it is not installed, unless AGENT_SDK=required."""
    program = find_program()
    if program is None:
        if os.environ.get("AGENT_SDK") == "required":
            pytest.fail("AGENT_SDK=required, and claude-agent-sdk is not installed: scripts/install-agent-sdk.sh .venv")
        pytest.skip("claude-agent-sdk is not installed: scripts/install-agent-sdk.sh .venv")
    return program
