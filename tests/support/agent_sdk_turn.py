"""A turn on claude-agent-sdk in a process of its own, to be killed: agent_sdk_turn.py PROGRAM URL FOLDER PROMPT."""

import os
import sys
from pathlib import Path

# The package of actors connects to the stores when it is imported, and nothing here uses one.
os.environ.setdefault("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:9/0")

from actors.coding.agent.agent_sdk_loop import AgentSdkLoop
from tests.support.stage import Stage

if __name__ == "__main__":
    program, url, folder, prompt = sys.argv[1:]
    Stage(Path(folder), prompt).run(AgentSdkLoop(Path(program), os.environ["ANTHROPIC_API_KEY"], url))
