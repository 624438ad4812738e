from datetime import date

import pytest

from actors.coding.agent.claude.request import body
from actors.coding.agent.claude.spending import Spending
from actors.coding.agent.prices import price_of
from actors.coding.agent.runner import Message, OverBudget, Usage
from actors.coding.agent.tools.registry import TOOLS
from tests.support.kept_record import KeptRecord

MODEL = "claude-sonnet-5-5"


def asked(*texts: str) -> dict[str, object]:
    return body(MODEL, [Message("user", [{"type": "text", "text": text}]) for text in texts], TOOLS)


@pytest.fixture
def record() -> KeptRecord:
    return KeptRecord(limit_usd=1.0)


@pytest.fixture
def spending(record: KeptRecord) -> Spending:
    return Spending(record, MODEL, price_of(MODEL, date(2026, 11, 28)))


def test_money_is_set_aside_for_the_longest_answer(spending: Spending, record: KeptRecord) -> None:
    assert spending.reserve(asked("Hello?")) is None
    assert record.reserved[0] > 32_000 * 10 / 1_000_000


def test_what_exceeds_the_limit_is_told(spending: Spending) -> None:
    spending.spend(Usage(MODEL, 0, 70_000))

    assert spending.reserve(asked("Hello?")) == OverBudget("turn", 0.7, 1.0)


def test_what_the_api_has_counted_is_not_estimated(spending: Spending) -> None:
    before = spending.likely_tokens(asked("x" * 35_000))
    spending.measure(asked("x" * 35_000), Usage(MODEL, 100, 5, 20, 3000))

    assert before > 10_000
    assert spending.likely_tokens(asked("x" * 35_000)) == 3120
    assert 3120 + 1000 <= spending.likely_tokens(asked("x" * 35_000, "y" * 3500)) < 3120 + 1050


def test_after_a_summary_all_is_estimated_again(spending: Spending) -> None:
    spending.measure(asked("x" * 350_000), Usage(MODEL, 200_000, 5))

    assert spending.likely_tokens(asked("short")) < 3000
