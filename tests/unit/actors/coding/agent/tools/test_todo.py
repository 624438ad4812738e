from actors.coding.agent.tools.todo import Todo
from tests.unit.actors.coding.agent.tools.conftest import MakeCall


def test_the_list_gives_the_progress_as_a_fraction(call: MakeCall) -> None:
    items = [{"text": name, "status": status} for name, status in [("a", "done"), ("b", "doing"), ("c", "open")]]

    result = Todo().run(call(items=items))

    assert result.content == "Noted: 1 of 3 done."
    assert result.events == [("progress", {"done": 1, "total": 3, "fraction": 0.333, "items": items})]


def test_an_empty_list_has_no_progress(call: MakeCall) -> None:
    assert Todo().resume(call(items=[])).events[0][1]["fraction"] == 0
