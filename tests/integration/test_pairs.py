"""Any two calls on one job at the same time, the first of them paused while it holds its locks.

The result must equal that of the two calls one after the other, in one order or the other.
"""

from collections.abc import Iterator
from itertools import product

import psycopg
import pytest

from tests.conftest import Servers, new_database
from tests.support.invariants import check_invariants
from tests.support.pairs import CALLS, STATES, Outcome, at_once, in_turn
from tests.support.rows import Rows
from tests.support.sized import by_size, sized
from tests.support.steps import Steps

Database = tuple[Rows, tuple[Steps, Steps]]


@pytest.fixture(scope="module")
def database(servers: Servers, template_database: str) -> Iterator[Database]:
    """One database for all pairs, emptied for each: they are many."""
    for dsn in new_database(servers, template_database):
        with psycopg.connect(dsn, autocommit=True) as connection:
            rows = Rows(connection)
            steps = Steps(dsn, rows), Steps(dsn, rows)
            yield rows, steps
            for one in steps:
                one.close()


alone: dict[tuple[str, str], Outcome] = {}  # the result of a call without the other one


TRIPLES = [
    (state, first, second)
    for (n, state), (m, first), (k, second) in product(enumerate(STATES), enumerate(CALLS), enumerate(CALLS))
    if (n + m + k) % by_size(3, 1) == 0  # in small: each pair in three states, and each two of the three at least once
]


@sized
@pytest.mark.parametrize(("state", "first", "second"), TRIPLES)
def test_two_calls_at_once_have_the_effect_of_two_calls_in_turn(
    database: Database, state: str, first: str, second: str
) -> None:
    rows, steps = database

    done = at_once(state, first, second, rows, steps, commit=True)
    check_invariants(rows)
    if done != in_turn(state, [(first, 0), (second, 1)], rows, steps[0]):
        assert done == in_turn(state, [(second, 1), (first, 0)], rows, steps[0])

    undone = at_once(state, first, second, rows, steps, commit=False)
    check_invariants(rows)
    if (state, second) not in alone:
        alone[state, second] = in_turn(state, [(second, 1)], rows, steps[0])
    assert undone == alone[state, second]
