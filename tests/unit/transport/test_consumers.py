"""The consumers of a process are found by their queue."""

from bridge.transport.consumers import Consumers


class Consumer:
    def wake(self, priority: int | None = None) -> None:
        pass

    def urgent_began(self, priority: int) -> None:
        pass

    def start_again(self) -> None:
        pass


def test_those_of_one_queue_and_those_of_all_are_found() -> None:
    consumers, first, second = Consumers(), Consumer(), Consumer()
    consumers.add("b", first)
    consumers.add("a", second)

    assert consumers.of("b") == [first]
    assert consumers.of("c") == []
    assert set(consumers.of(None)) == {first, second}
    assert consumers.queues == ["a", "b"]


def test_one_that_is_closed_is_found_no_more_and_its_queue_is_still_served() -> None:
    consumers, first = Consumers(), Consumer()
    consumers.add("a", first)

    consumers.remove("a", first)

    assert (consumers.of("a"), consumers.queues) == ([], ["a"])
