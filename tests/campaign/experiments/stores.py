"""Redis lost again and again, and links to Postgres that are dead but not closed."""

import os
import signal
import time
from collections import defaultdict

from tests.campaign.evidence import Fault
from tests.campaign.experiments.deaths import DEFAULT_LEASE_MS
from tests.campaign.experiments.testbed import Figure, even_load, open_testbed
from tests.campaign.message_copies import MessageCopies
from tests.campaign.plan import Kind
from tests.campaign.recovery_times import recoveries, shown, spread, throughput
from tests.campaign.world import POSTGRES, Size

_RATE = 200
_FLUSH_EACH_SECONDS = 5.0
_SILENT_MOST_SECONDS = 60.0


def redis_loss(minutes: float) -> Figure:
    """Redis flushed, or killed, every few seconds at 200 jobs/s: the time until the jobs it held are started."""
    seconds = minutes * 60
    size = Size(threads=8, lease_ms=DEFAULT_LEASE_MS)
    message_copies = MessageCopies()
    with open_testbed(size, even_load(_RATE, seconds, Kind.NAP, 0.045)) as testbed:
        began = time.time()
        while time.time() < began + seconds - _FLUSH_EACH_SECONDS:
            testbed.rest(_FLUSH_EACH_SECONDS)
            with testbed.world.redis() as client:
                fault = Fault("redis", time.time(), handed=message_copies.waiting(client))
                if len(testbed.faults) % 2:
                    os.kill(testbed.world.stores.redis.pid, signal.SIGKILL)
                    testbed.world.restart_redis()
                else:
                    client.flushall()
            testbed.faults.append(fault)
        ended = time.time()
        evidence, verdict = testbed.finish()
    found = recoveries(evidence)["redis"]
    kept = throughput(evidence, began + 2, ended) / _RATE
    lost = sum(len(fault.handed) for fault in testbed.faults)
    text = (
        f"{len(testbed.faults)} losses, {lost} hand-overs lost with them, started after {shown(found.next_start)} s; "
        f"{kept:.0%} of {_RATE} jobs/s kept"
    )
    return Figure("redis_loss", text, verdict.holds, {"next_start": found.next_start, "throughput_kept": kept})


def half_open(minutes: float) -> Figure:
    """All links to Postgres go silent at once, new ones work: the time until each of the old ones is given up."""
    noticed: defaultdict[str, list[float]] = defaultdict(list)
    never: list[str] = []
    until = time.monotonic() + minutes * 60
    rounds = 0
    with open_testbed(Size(), even_load(20, minutes * 60, Kind.QUICK)) as testbed:
        while rounds == 0 or time.monotonic() < until:
            rounds += 1
            testbed.rest(3)
            silent = testbed.world.proxies.names(POSTGRES)
            testbed.world.proxies.set_conditions(POSTGRES, drop="existing")
            began = time.monotonic()
            testbed.world.proxies.clear(POSTGRES)
            while silent and time.monotonic() < began + _SILENT_MOST_SECONDS:
                testbed.rest(0.1)
                for number in silent.keys() - testbed.world.proxies.names(POSTGRES).keys():
                    noticed[silent.pop(number)].append(time.monotonic() - began)
            never += silent.values()
            if silent:
                testbed.world.proxies.order(POSTGRES, "reset")
        _, verdict = testbed.finish()
    everything = spread([seconds for all_of_one in noticed.values() for seconds in all_of_one])
    by_name = ", ".join(
        f"{name.removeprefix('mobvibe ')} {max(all_of_one):.1f}" for name, all_of_one in noticed.items()
    )
    text = f"links given up after {shown(everything)} s; the longest of each: {by_name or 'none'}"
    if never:
        text += f"; NEVER within {_SILENT_MOST_SECONDS:.0f} s: {', '.join(sorted(set(never)))} ({len(never)} links)"
    return Figure("half_open", text, verdict.holds and not never, {"noticed": everything, "never": len(never)})
