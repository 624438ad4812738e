"""Which errors may be caused by one row: `is_of_a_row` decides by their SQLSTATE and context."""

import pytest

from tests.support.rows import Rows

THEIRS = "PL/pgSQL function public.refuse() line 1 at RAISE"
OURS = "PL/pgSQL function public.count_changed_jobs() line 24 at SQL statement"
CALLER = "PL/pgSQL function public.change_each(text,uuid[],text,interval) line 12 at SQL statement"


@pytest.mark.parametrize(
    ("state", "frames", "is_of_a_row"),
    [
        ("23514", [], True),
        ("P0001", [], True),
        ("42501", [], False),
        ("40P01", [], False),
        ("53100", [], False),
        ("42501", [THEIRS], True),
        ("42P01", ['SQL statement "SELECT nothing(1)"', THEIRS], True),
        ("42501", [OURS], False),
        ("42501", [THEIRS.replace("refuse", "my_keep_due")], True),
        ("42501", [OURS, THEIRS], True),
        ("53400", ["PL/pgSQL-Funktion refuse() Zeile 1 bei RAISE"], True),
        ("53100", ["PL/pgSQL-Funktion public.guard_job() Zeile 24 bei SQL-Anweisung"], False),
        ("XX000", ['PL/Python function "refuse"'], True),
    ],
)
def test_an_error_from_a_hosts_code_counts_as_one_of_its_row(
    rows: Rows, state: str, frames: list[str], is_of_a_row: bool
) -> None:
    context = "\n".join([*frames, 'SQL statement "UPDATE …"', CALLER, "PL/pgSQL function theirs() line 3 at PERFORM"])

    assert rows.value("SELECT is_of_a_row(%s, %s, 'change_each')", [state, context]) is is_of_a_row


def test_our_trigger_functions_are_listed_as_ours(rows: Rows) -> None:
    """The functions of triggers that an update of a job or a session fires."""
    functions = rows.all("""
        SELECT DISTINCT t.tgfoid::regproc::text AS name FROM pg_trigger t
        WHERE t.tgrelid IN ('coding_jobs'::regclass, 'coding_sessions'::regclass) AND t.tgtype & 16 > 0""")
    assert functions
    for one in functions:
        context = f"PL/pgSQL function public.{one['name']}() line 1 at SQL statement\n{CALLER}"
        assert not rows.value("SELECT is_of_a_row('42501', %s, 'change_each')", [context]), one["name"]
