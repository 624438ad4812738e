from pathlib import Path

import pytest

from actors.coding.agent.tools.preview import Preview
from actors.coding.agent.tools.tool import Invocation, ToolError
from tests.support.folder_sandbox import FolderSandbox
from tests.unit.actors.coding.agent.tools.conftest import MakeCall


class Exposing(FolderSandbox):
    def expose(self, port: int) -> str:
        return f"https://session.preview.example/{port}"


def test_the_user_gets_the_address_of_a_port(call: MakeCall, tmp_path: Path) -> None:
    plain = call(port=3000)
    result = Preview().run(
        Invocation(plain.call_id, plain.input, Exposing(tmp_path), plain.events, plain.seconds, plain.interruptible)
    )

    assert result.events == [("preview", {"port": 3000, "url": "https://session.preview.example/3000"})]


def test_a_sandbox_that_cannot_show_a_port_says_so(call: MakeCall) -> None:
    with pytest.raises(ToolError, match="this sandbox cannot show a port"):
        Preview().run(call(port=3000))


@pytest.mark.parametrize("port", [0, 80, 70000])
def test_a_port_out_of_range_is_refused(call: MakeCall, port: int) -> None:
    with pytest.raises(ToolError, match="from 1024 to 65535"):
        Preview().resume(call(port=port))
