"""The text of a call. tests/integration/postgres/test_statements.py checks that Postgres accepts each."""

import pytest

from bridge.postgres.calls import calls


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("claim_next_job", "SELECT job_id, session_id, prompt, priority FROM public.claim_next_job() AS r"),
        (
            "keep_claims",
            "SELECT id FROM public.keep_claims(%(ids)s::uuid[], %(fences)s::bigint[], %(lease)s) AS r (id)",
        ),
        ("fail_job", "SELECT public.fail_job(%(id)s, %(error)s) AS will_retry"),
        ("stop_worker", "SELECT public.stop_worker(%(worker)s)"),
    ],
    ids=["rows", "rows of one value", "a value", "nothing"],
)
def test_columns_and_parameters_are_named(function: str, text: str) -> None:
    assert calls()[function] == text
