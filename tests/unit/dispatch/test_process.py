"""What a notification says is for the log alone, and may be anything."""

import json

import pytest

from bridge.dispatch.process import notified

JOB = "01a20dac-fdfc-7b77-a519-7f8e45a4b6ec"


def test_the_original_json_is_told() -> None:
    assert notified(json.dumps({"job_id": JOB, "session_id": None})) == {"jobId": JOB, "sessionId": None}
    assert notified('{"count": 7}') == {"jobs": 7}


@pytest.mark.parametrize(
    "payload",
    [
        "x" * 7999, "[" * 7999, "7", "null", '"count"', "[]", "{}", '{"count": null}', '{"count": NaN}',
        '{"count": Infinity}',
        '{"count": "9"}}', '{"count": ' + "9" * 5000 + "}", '{"job_id": 7}', "\ufeff{}",
    ],
)  # fmt: skip
def test_nonsense_is_a_notification_that_says_nothing(payload: str) -> None:
    assert notified(payload) == {}


def test_nobody_writes_pages_into_the_log() -> None:
    fields = notified(json.dumps({"job_id": "x" * 7000, "session_id": {"a": "y" * 500}}))

    assert len(str(fields)) < 200
