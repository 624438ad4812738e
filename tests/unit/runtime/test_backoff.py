"""How long to wait before a store is tried again."""

from bridge.runtime.backoff import full_jitter


def test_the_wait_grows_up_to_its_cap_and_uses_the_whole_range() -> None:
    waits = [full_jitter(4, base_seconds=0.1, cap_seconds=5) for _ in range(500)]
    assert 0 <= min(waits) < 0.1
    assert 0.7 < max(waits) <= 0.8
    assert 0.09 < max(full_jitter(1, base_seconds=0.1) for _ in range(500)) <= 0.1
    assert max(full_jitter(10_000, cap_seconds=5) for _ in range(100)) <= 5
