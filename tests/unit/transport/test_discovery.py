"""Who is asked for the primary, in which order, and what counts as a change."""

import pytest
import redis

from bridge.errors import RedisAccessError, RedisUnavailableError, RedisUnfitError
from bridge.transport.discovery import Address, Discovery

ONE, TWO = redis.Redis("one", 1), redis.Redis("two", 2)


class Answers:
    """What each seed answers; and who was asked."""

    def __init__(self, **answers: Address | Exception) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, seed: "redis.Redis") -> Address:
        host: str = seed.connection_pool.connection_kwargs["host"]
        self.asked.append(host)
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_who_answered_is_asked_first_from_then_on() -> None:
    ask = Answers(one=redis.ConnectionError("refused"), two=("a", 1))
    discovery = Discovery("sentinel", [ONE, TWO], ask)

    discovery.primary()
    discovery.primary()

    assert ask.asked == ["one", "two", "two"]


def test_another_address_is_a_failover_and_the_first_one_is_not() -> None:
    ask = Answers(one=("a", 1))
    discovery = Discovery("sentinel", [ONE], ask)
    first, _ = discovery.primary()
    assert (discovery.primary(), discovery.failovers) == ((first, ("a", 1)), 0)

    ask.answers["one"] = ("b", 1)

    assert discovery.primary() == (first + 1, ("b", 1))
    assert discovery.failovers == 1


@pytest.mark.parametrize(
    ("second", "kind"),
    [(RedisUnfitError("no such name"), RedisUnavailableError), (RedisAccessError("no"), RedisUnavailableError)],
)
def test_as_long_as_waiting_may_help_it_is_an_outage(second: Exception, kind: type[Exception]) -> None:
    discovery = Discovery("sentinel", [ONE, TWO], Answers(one=redis.ConnectionError("refused"), two=second))

    with pytest.raises(RedisUnavailableError) as raised:
        discovery.primary()

    assert type(raised.value) is kind
    assert str(raised.value) == f"no Sentinel names the primary (one:1: refused; two:2: {second})"


def test_what_all_seeds_refuse_is_refused() -> None:
    discovery = Discovery("cluster", [ONE, TWO], Answers(one=RedisAccessError("no"), two=RedisAccessError("no")))

    with pytest.raises(RedisAccessError, match="no node of the cluster leads to our keys"):
        discovery.primary()


def test_who_named_a_server_that_takes_no_writes_is_asked_last() -> None:
    ask = Answers(one=("replica", 1), two=("primary", 1))
    discovery = Discovery("sentinel", [ONE, TWO], ask)
    before, _ = discovery.primary()

    discovery.distrust()

    assert discovery.generation > before, "no connection to it is used again"
    assert discovery.primary()[1] == ("primary", 1)
    assert ask.asked == ["one", "two"]


def test_a_server_that_is_named_again_is_connected_to_again() -> None:
    discovery = Discovery("sentinel", [ONE], Answers(one=("a", 1)))
    before, _ = discovery.primary()

    discovery.distrust()

    assert discovery.primary() == (before + 1, ("a", 1))
    assert discovery.failovers == 0
