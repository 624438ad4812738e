"""Which claims are published at once, and which when the more urgent ones were started."""

from uuid import uuid4

from bridge.dispatch.publish_order import PublishOrder
from bridge.job import Claim


def claims(*priorities: int) -> list[Claim]:
    return [Claim(uuid4(), 1, "coding", "run", priority) for priority in priorities]


def test_claims_of_one_priority_are_published_at_once_whatever_was_before() -> None:
    order = PublishOrder()
    for now in (0.0, 0.01):
        batch = claims(0, 0, 0)
        order.keep(batch, now)

        assert order.waits_for(now) == []
        assert order.take(now) == batch
        assert order.kept == []


def test_each_priority_waits_until_the_more_urgent_was_started() -> None:
    order, (first, second, middle, low) = PublishOrder(), claims(9, 9, 5, 0)
    order.keep([first, second, middle, low], 0.0)
    assert order.take(0.0) == [first, second]

    assert order.waits_for(0.01) == [first, second]
    order.unstarted({second})
    assert order.waits_for(0.02) == [second]
    order.unstarted(set())
    assert order.waits_for(0.03) == []
    assert order.take(0.03) == [middle]
    assert order.waits_for(0.04) == [middle]
    order.unstarted(set())
    assert (order.waits_for(0.04), order.take(0.04)) == ([], [low])


def test_a_later_claim_waits_for_an_earlier_one_that_is_more_urgent() -> None:
    order, (urgent, low) = PublishOrder(), claims(1, 0)
    order.keep([urgent], 0.0)
    order.take(0.0)
    order.keep([low], 0.1)

    assert order.waits_for(0.1) == [urgent]
    assert order.waits_for(0.21) == [], "it found no thread for so long that its place in the list must protect it"


def test_the_many_priorities_of_one_claim_do_not_add_up_to_a_long_time() -> None:
    order, batch = PublishOrder(), claims(*range(100, 0, -1))
    order.keep(batch, 0.0)
    assert order.take(0.0) == batch[:1]
    order.unstarted(set())

    assert order.take(0.06) == batch[1:]
    assert order.waits_for(0.06) == []


def test_what_is_kept_lets_the_more_urgent_pass_and_waits_for_them_too() -> None:
    order, (first, second, low) = PublishOrder(), claims(5, 9, 0)
    order.keep([first, low], 0.0)
    order.take(0.0)
    order.keep([second], 0.1)

    assert order.waits_for(0.1) == []
    assert order.take(0.1) == [second]
    assert order.waits_for(0.11) == [first, second]


def test_a_backlog_of_many_priorities_waits_for_nobody() -> None:
    order = PublishOrder()
    for n in range(3):
        batch = claims(*range(100 - 10 * n, 90 - 10 * n, -1))
        order.keep(batch, n and 2.0 + n / 100)
        if n == 0:
            order.take(1.0)  # whatever comes first overtakes: nothing is known of before
            continue

        assert order.waits_for(2.0 + n / 100) == []
        assert order.take(2.0 + n / 100) == batch


def test_what_was_published_a_while_ago_is_overtaken_by_nobody() -> None:
    order = PublishOrder()
    for priority, now in ((0, 0.0), (5, 1.0), (5, 1.1)):
        order.keep(claims(priority), now)
        order.take(now)

    assert order.overtakers == 0


def test_it_says_how_many_are_more_urgent_than_what_came_before() -> None:
    order, found = PublishOrder(), []
    for batch in (claims(0, 0), claims(5, 5), claims(5), claims(0), claims(1)):
        order.keep(batch, 0.0)
        order.unstarted(set())
        order.take(0.0)
        found.append(order.overtakers)

    assert found == [2, 2, 1, 0, 1]


def test_nothing_is_kept_for_long_however_many_more_urgent_come() -> None:
    order, (low, *urgent) = PublishOrder(), claims(0, *range(1, 40))
    order.keep([low], 0.0)
    for n, claim in enumerate(urgent):
        order.keep([claim], n / 100)
        published = order.take(n / 100) if not order.waits_for(n / 100) else []
        if low in published:
            break

    assert 0.2 < n / 100 <= 0.26
