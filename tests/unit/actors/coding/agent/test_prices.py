from dataclasses import replace
from datetime import date

import pytest

from actors.coding.agent.prices import PRICES, cost, most, parse_price, price_of
from actors.coding.agent.runner import Usage
from bridge.errors import SettingsError

TODAY = date(2026, 11, 28)
MILLION = 1_000_000


def test_each_kind_of_token_has_its_price() -> None:
    price = price_of("claude-sonnet-5-5", TODAY)
    usage = Usage("claude-sonnet-5-5", 0, 0)

    assert cost(price, replace(usage, input_tokens=MILLION)) == pytest.approx(2)
    assert cost(price, replace(usage, output_tokens=MILLION)) == pytest.approx(10)
    assert cost(price, replace(usage, cache_write_tokens=MILLION)) == pytest.approx(2.5)
    assert cost(price, replace(usage, cache_read_tokens=MILLION)) == pytest.approx(0.1)


def test_a_price_holds_from_its_day_on() -> None:
    assert price_of("claude-sonnet-5-5", date(2026, 10, 6)).cache_read == 0.2
    assert price_of("claude-sonnet-5-5", date(2026, 10, 7)).cache_read == 0.1
    assert price_of("claude-haiku-5-5", date(2026, 1, 1)).input == 0.1


def test_a_long_prompt_can_cost_more_for_all_its_tokens() -> None:
    price = price_of("claude-haiku-5-5", TODAY)

    assert cost(price, Usage("", 50_000, 1000, 0, 50_000)) == pytest.approx(0.006)
    assert cost(price, Usage("", 50_001, 1000, 0, 50_000)) == pytest.approx(0.030, rel=0.001)


def test_a_name_with_the_date_of_its_version_is_known() -> None:
    assert price_of("claude-haiku-4-5-20251001", TODAY).input == 1


@pytest.mark.parametrize("model", PRICES)
def test_no_request_costs_more_than_the_most(model: str) -> None:
    price = price_of(model, TODAY)
    limit = most(price, Usage(model, 120_000, 8000))

    for read, written in [(0, 0), (120_000, 0), (0, 120_000), (60_000, 60_000)]:
        assert cost(price, Usage(model, 120_000 - read - written, 8000, written, read)) <= limit


def test_a_model_that_nobody_priced_is_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match=r"^AGENT_MODEL 'llama' has no price here: set AGENT_PRICE .*$"):
        price_of("llama", TODAY)


def test_the_price_of_the_operator_goes_before_ours() -> None:
    assert price_of("llama", TODAY, "0, 0").output == 0
    assert price_of("claude-opus-5", TODAY, "1,2.5").output == 2.5
    assert parse_price("1,2,3,4").cache_read == 4
    assert parse_price("1,2").cache_read == 1  # no discount that nobody has promised


@pytest.mark.parametrize("given", ["", "1", "1,2,3", "a,b", "1.2.3,4", "-1,2", "1,2,3,4,5"])
def test_a_malformed_price_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(SettingsError, match=r"^AGENT_PRICE must be two or four numbers"):
        parse_price(given)
