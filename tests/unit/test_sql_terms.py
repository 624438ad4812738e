"""The mutation run finds each term of a condition, whatever the condition looks like."""

import pytest

from tests.mutations.sql_terms import terms

CONDITIONS = {
    "SELECT 1": [],
    "SELECT FROM t WHERE a = 1": ["a = 1"],
    "DELETE FROM t WHERE a AND b RETURNING c": ["a", "b"],
    "SELECT FROM t WHERE a OR b AND c ORDER BY d": ["a", "b AND c", "b", "c"],
    "SELECT FROM t WHERE a AND (b OR c)": ["a", "(b OR c)", "b", "c"],
    "SELECT FROM t WHERE a AND (b)": ["a", "(b)"],
    "SELECT FROM t WHERE f(a AND b, c) AND d": ["f(a AND b, c)", "d"],
    "SELECT FROM t WHERE a BETWEEN 1 AND 2 AND b": ["a BETWEEN 1 AND 2", "b"],
    "SELECT FROM t WHERE a AND CASE WHEN b AND c THEN d ELSE e END": [
        "a",
        "CASE WHEN b AND c THEN d ELSE e END",
        "b",
        "c",
    ],
    "SELECT CASE WHEN a THEN CASE b WHEN c THEN d END WHEN e THEN f END": ["a", "e"],
    "SELECT DISTINCT ON (a) b FROM t": [],
    "BEGIN a; EXCEPTION WHEN others THEN b; END": [],
    "SELECT FROM t WHERE a = 'x AND y' -- AND z\n AND b": ["a = 'x AND y'", "b"],
    "SELECT FROM t WHERE NOT EXISTS (SELECT FROM u WHERE c AND d)": [
        "NOT EXISTS (SELECT FROM u WHERE c AND d)",
        "c",
        "d",
    ],
    "SELECT FROM t LEFT JOIN u ON a AND b JOIN v ON c WHERE d": ["a", "b", "c", "d"],
    "INSERT INTO t SELECT 1 ON CONFLICT DO NOTHING": [],
    "SELECT array_agg(a) FILTER (WHERE b), c FROM t": ["b"],
    "IF NOT found OR a THEN RETURN; END IF; b": ["NOT found", "a"],
    "SELECT FROM t WHERE a UNION ALL SELECT FROM u WHERE b LIMIT 1": ["a", "b"],
}


@pytest.mark.parametrize("body", CONDITIONS)
def test_the_terms_of_a_condition_are_found(body: str) -> None:
    assert [term.text for term in terms(body)] == CONDITIONS[body]


def test_a_dropped_term_decides_nothing() -> None:
    body = "IF x THEN SELECT FROM t WHERE a AND (b OR c); END IF"

    assert [term.dropped_from(body) for term in terms(body)] == [
        "IF false THEN SELECT FROM t WHERE a AND (b OR c); END IF",
        "IF x THEN SELECT FROM t WHERE true AND (b OR c); END IF",
        "IF x THEN SELECT FROM t WHERE a AND true; END IF",
        "IF x THEN SELECT FROM t WHERE a AND (false OR c); END IF",
        "IF x THEN SELECT FROM t WHERE a AND (b OR false); END IF",
    ]
