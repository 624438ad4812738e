from actors.coding.agent.runner import Asks
from actors.coding.agent.tools.ask import Ask
from tests.unit.actors.coding.agent.tools.conftest import MakeCall


def test_a_question_ends_the_turn(call: MakeCall) -> None:
    asked = Ask().run(call(question="Which?", choices=["a", "b"]))

    assert asked == Asks("call", "Which?", ("a", "b"))


def test_a_question_that_was_not_answered_is_asked_again(call: MakeCall) -> None:
    assert Ask().resume(call(question="Which?")) == Asks("call", "Which?")
