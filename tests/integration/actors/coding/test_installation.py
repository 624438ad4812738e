"""What turns run with follows from the settings."""

from collections.abc import Iterator

import dramatiq
import pytest
from pydantic import SecretStr

from actors.coding.installation import installation
from bridge.broker import connect_broker
from bridge.settings import Settings


@pytest.fixture(autouse=True)
def current_broker() -> Iterator[None]:
    before = dramatiq.get_broker()
    installation.cache_clear()
    yield
    installation.cache_clear()
    dramatiq.set_broker(before)


def test_a_key_makes_it_claude_and_is_never_shown(settings: Settings) -> None:
    key = f"sk-{'ant'}-made-up-for-this-test"  # in parts: no file holds what looks like a key
    connect_broker(settings.model_copy(update={"anthropic_api_key": SecretStr(key)})).close()

    here = installation()

    redactor = here.new_redactor()
    assert here.agent.name == "claude"
    assert key not in redactor.feed(f"it is {key} ") + redactor.end()


def test_without_a_key_it_is_the_stand_in(settings: Settings) -> None:
    connect_broker(settings.model_copy(update={"turn_timeout_ms": 5000})).close()

    assert (installation().agent.name, installation().turn_seconds) == ("scripted", 5.0)
