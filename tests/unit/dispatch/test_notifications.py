"""A notification is used for the log and as a hint, and may hold anything."""

import json

import pytest

from bridge.dispatch.notifications import log_fields, priority

JOB = "01a20dac-fdfc-7b77-a519-7f8e45a4b6ec"


def test_ids_or_the_number_of_jobs_are_logged() -> None:
    assert log_fields(json.dumps({"job_id": JOB, "session_id": None})) == {"jobId": JOB, "sessionId": None}
    assert log_fields('{"count": 7}') == {"jobs": 7}


@pytest.mark.parametrize(
    ("payload", "urgency"),
    [('{"priority": 7}', 7), ('{"priority": "-2"}', -2), ('{"count": 7}', None), ("[" * 7999, None), ("7", None),
     ('{"priority": null}', None), ('{"priority": Infinity}', None), ('{"priority": ' + "9" * 5000 + "}", None)],
)  # fmt: skip
def test_the_priority_of_a_job_is_a_hint(payload: str, urgency: int | None) -> None:
    assert priority(payload) == urgency


@pytest.mark.parametrize(
    "payload",
    [
        "x" * 7999, "[" * 7999, "7", "null", '"count"', "[]", "{}", '{"count": null}', '{"count": NaN}',
        '{"count": Infinity}',
        '{"count": "9"}}', '{"count": ' + "9" * 5000 + "}", '{"job_id": 7}', "\ufeff{}",
    ],
)  # fmt: skip
def test_an_unreadable_notification_is_logged_without_fields(payload: str) -> None:
    assert log_fields(payload) == {}


def test_long_values_are_cut() -> None:
    fields = log_fields(json.dumps({"job_id": "x" * 7000, "session_id": {"a": "y" * 500}}))

    assert len(str(fields)) < 200
