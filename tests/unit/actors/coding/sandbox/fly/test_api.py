"""Requests to the Machines API: which are asked again, and what their refusals say."""

from collections.abc import Iterator

import pytest

from actors.coding.sandbox.fly.api import FlyApi, FlyError
from actors.coding.sandbox.fly.buckets import Buckets
from tests.support.fake_fly import TOKEN, FakeFly


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.coding.sandbox.fly.api._FIRST_PAUSE_SECONDS", 0.3)


@pytest.fixture
def fly() -> Iterator[FakeFly]:
    with FakeFly() as fly:
        yield fly


@pytest.fixture
def api(fly: FakeFly) -> FlyApi:
    return FlyApi("app", TOKEN, fly.url, Buckets(sleep=lambda _: None))


def test_one_too_many_is_asked_again(fly: FakeFly, api: FlyApi) -> None:
    """The limits count for all workers together, and each of them knows only its own requests."""
    for number in range(5):
        api.create_volume({"name": str(number)})

    assert len(fly.volumes) == 5
    assert len(fly.asked) > 5


def test_requests_wait_so_that_none_is_one_too_many(fly: FakeFly) -> None:
    api = FlyApi("app", TOKEN, fly.url)
    for number in range(5):
        api.create_volume({"name": str(number)})

    assert (len(fly.volumes), len(fly.asked), fly.refused) == (5, 5, 0)


def test_what_makes_something_is_not_asked_again(fly: FakeFly, api: FlyApi) -> None:
    fly.faults.append(("volume", "reply lost"))

    with pytest.raises(FlyError) as raised:
        api.create_volume({"name": "one"})

    assert raised.value.is_unclear
    assert len(fly.volumes) == 1


def test_what_may_happen_twice_is_asked_until_it_is_answered(fly: FakeFly, api: FlyApi) -> None:
    fly.limited = False
    volume = api.create_volume({"name": "one"})
    api.destroy_volume(volume["id"])
    api.destroy_volume(volume["id"])

    assert fly.volumes == {}


def test_an_api_that_is_not_there_is_an_error_of_one_line(api: FlyApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.coding.sandbox.fly.api._FIRST_PAUSE_SECONDS", 0)
    nowhere = FlyApi("app", TOKEN, "http://127.0.0.1:9", Buckets(sleep=lambda _: None))

    with pytest.raises(FlyError, match="no answer") as raised:
        nowhere.volumes()

    assert TOKEN not in str(raised.value) and "\n" not in str(raised.value)


def test_a_refusal_says_why(fly: FakeFly) -> None:
    with pytest.raises(FlyError, match=r"^Fly's Machines API: token validation error \(401\)$"):
        FlyApi("app", "wrong", fly.url).volumes()
