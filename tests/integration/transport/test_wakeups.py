"""Wake-ups over a connection that is dead but not closed."""

import pytest

from bridge.transport.client import connect_redis
from bridge.transport.wakeups import WakeUps
from tests.support.proxy import by_way_of, proxy_before
from tests.support.waiting import eventually


def test_wake_ups_are_received_again_after_a_link_went_dead(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.transport.wakeups.PROBE_SECONDS", 0.3)
    monkeypatch.setattr("bridge.transport.wakeups._ECHO_SECONDS", 3.0)  # as slow as a machine may be
    proxy = proxy_before(redis_url)
    received: list[str | None] = []
    wake_ups = WakeUps(connect_redis(by_way_of(proxy, redis_url), timeout_seconds=2), "channel", received.append)
    wake_ups.start()
    assert wake_ups.subscribed.wait(5)
    with connect_redis(redis_url) as client, client.pubsub() as echoes:
        client.publish("channel", "before")
        eventually(lambda: received == [None, "before"])
        echoes.psubscribe("channel:*")
        for _ in range(3):  # the third is sent only if the ones before were received
            eventually(lambda: (echoes.get_message(timeout=1) or {"type": ""})["type"] == "pmessage")
        assert received == [None, "before"], "there is no new subscription"
        proxy.go_dead()

        eventually(lambda: received[2:] == [None], what="a new subscription, and one look for what was missed")
        client.publish("channel", "after")
        eventually(lambda: received[3:] == ["after"])
    wake_ups.close()
    proxy.close()
