"""How often and when a request is tried again is shown in test_claude_loop.py, against a server."""

from actors.coding.agent.claude import asking


def test_the_waits_of_a_request_fit_into_a_lease_of_a_slot() -> None:
    longest = sum(asking.FIRST_WAIT_SECONDS * 2**tried * 1.2 for tried in range(asking.TRIES - 1))

    assert longest < 10
