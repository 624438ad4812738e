"""Every way an actor or a middleware can end, with real processes: the row, the ledger, the log, and no slot lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outcomes.ends import End, all_ends
from tests.outcomes.table import table
from tests.outcomes.trial import attempt
from tests.outcomes.world import World, open_world

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "outcomes.md"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_world(unresponsive_seconds=2) as world:
        yield world


@pytest.mark.parametrize("end", all_ends(), ids=lambda end: f"{end.title} ({end.actor})")
def test_an_actors_end_has_its_documented_outcome(world: World, end: End) -> None:
    assert attempt(world, end).wrong == []


def test_the_docs_have_the_current_tables() -> None:
    assert table() in DOCS.read_text()
