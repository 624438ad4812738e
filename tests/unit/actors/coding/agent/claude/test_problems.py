from typing import Any

import pytest

from actors.coding.agent.claude.problems import of_event, of_link, of_status

SECRET = "sk-ant-geheim"


@pytest.mark.parametrize(
    ("status", "may_pass"),
    [
        *((status, False) for status in (400, 401, 402, 403, 404, 413, 422)),
        *((status, True) for status in (408, 409, 429, 500, 502, 503, 529)),
    ],
)
def test_overload_and_faults_may_pass(status: int, may_pass: bool) -> None:
    assert of_status(status, None, {}, SECRET).may_pass is may_pass


@pytest.mark.parametrize(
    ("value", "seconds"), [("5", 5), ("0.5", 0.5), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), (None, None)]
)
def test_the_api_says_when_to_try_again(value: str | None, seconds: float | None) -> None:
    assert of_status(429, None, {"retry-after": value}, SECRET).retry_after == seconds


@pytest.mark.parametrize("body", [None, "", "<html>\nBad gateway</html>", {"error": "odd"}, {"error": {}}, ["x"]])
def test_any_body_gives_one_line(body: Any) -> None:
    text = of_status(502, body, {}, SECRET).text

    assert text.startswith("the model's API answers 502")
    assert "\n" not in text


def test_no_line_holds_the_key() -> None:
    error = {"error": {"type": "x", "message": f"the key {SECRET} is bad"}}

    for problem in (
        of_status(401, error, {}, SECRET),
        of_event(error["error"], SECRET),
        of_link(OSError(f"no way to {SECRET}"), SECRET),
    ):
        assert SECRET not in problem.text
        assert "***" in problem.text


@pytest.mark.parametrize(
    ("status", "message", "too_long", "thinking"),
    [
        (400, "prompt is too long: 210000 tokens > 200000 maximum", True, False),
        (413, "Request exceeds the maximum size", True, False),
        (400, "Invalid `signature` in `thinking` block", False, True),
        (400, "max_tokens: must be positive", False, False),
        (500, "prompt is too long", False, False),
    ],
)
def test_what_can_be_helped_is_told_apart(status: int, message: str, too_long: bool, thinking: bool) -> None:
    problem = of_status(status, {"error": {"type": "t", "message": message}}, {}, SECRET)

    assert (problem.is_too_long, problem.is_about_thinking) == (too_long, thinking)
