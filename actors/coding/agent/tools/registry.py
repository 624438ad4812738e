"""The tools that an agent has."""

from collections.abc import Mapping

from actors.coding.agent.tools.ask import Ask
from actors.coding.agent.tools.bash import Bash
from actors.coding.agent.tools.edit import Edit
from actors.coding.agent.tools.preview import Preview
from actors.coding.agent.tools.read import Read
from actors.coding.agent.tools.search import Search
from actors.coding.agent.tools.todo import Todo
from actors.coding.agent.tools.tool import Tool

TOOLS: Mapping[str, Tool] = {tool.name: tool for tool in (Bash(), Read(), Edit(), Search(), Todo(), Ask(), Preview())}
