"""Redis lost again and again, and Postgres links that died without a word."""

import os
import signal
import time
from collections import defaultdict

from tests.campaign.evidence import Fault
from tests.campaign.experiments.deaths import DEFAULT_LEASE_MS
from tests.campaign.experiments.stage import Figure, even_load, open_stage
from tests.campaign.mailbag import Mailbag
from tests.campaign.plan import Kind
from tests.campaign.recovery_times import recoveries, shown, spread, throughput
from tests.campaign.world import POSTGRES, Size

_RATE = 200
_FLUSH_EACH_SECONDS = 5.0
_SILENT_MOST_SECONDS = 60.0


def redis_loss(minutes: float) -> Figure:
    """Redis flushed each few seconds at 200 jobs/s, each second time killed: until what it held is started."""
    seconds = minutes * 60
    size = Size(threads=8, lease_ms=DEFAULT_LEASE_MS)
    mailbag = Mailbag()
    with open_stage(size, even_load(_RATE, seconds, Kind.NAP, 0.045)) as stage:
        began = time.time()
        while time.time() < began + seconds - _FLUSH_EACH_SECONDS:
            stage.rest(_FLUSH_EACH_SECONDS)
            with stage.world.redis() as client:
                fault = Fault("redis", time.time(), handed=mailbag.waiting(client))
                if len(stage.faults) % 2:
                    os.kill(stage.world.stores.redis.pid, signal.SIGKILL)
                    stage.world.restart_redis()
                else:
                    client.flushall()
            stage.faults.append(fault)
        ended = time.time()
        evidence, verdict = stage.finish()
    found = recoveries(evidence)["redis"]
    kept = throughput(evidence, began + 2, ended) / _RATE
    lost = sum(len(fault.handed) for fault in stage.faults)
    text = (
        f"{len(stage.faults)} losses, {lost} hand-overs lost with them, started after {shown(found.next_start)} s; "
        f"{kept:.0%} of {_RATE} jobs/s kept"
    )
    return Figure("redis_loss", text, verdict.holds, {"next_start": found.next_start, "throughput_kept": kept})


def half_open(minutes: float) -> Figure:
    """All links to Postgres go silent at once, new ones work: until each of the old ones is given up."""
    noticed: defaultdict[str, list[float]] = defaultdict(list)
    never: list[str] = []
    until = time.monotonic() + minutes * 60
    rounds = 0
    with open_stage(Size(), even_load(20, minutes * 60, Kind.QUICK)) as stage:
        while rounds == 0 or time.monotonic() < until:
            rounds += 1
            stage.rest(3)
            silent = stage.world.proxies.names(POSTGRES)
            stage.world.proxies.weather(POSTGRES, swallow="existing")
            began = time.monotonic()
            stage.world.proxies.clear(POSTGRES)
            while silent and time.monotonic() < began + _SILENT_MOST_SECONDS:
                stage.rest(0.1)
                for number in silent.keys() - stage.world.proxies.names(POSTGRES).keys():
                    noticed[silent.pop(number)].append(time.monotonic() - began)
            never += silent.values()
            if silent:
                stage.world.proxies.order(POSTGRES, "reset")
        _, verdict = stage.finish()
    everything = spread([seconds for all_of_one in noticed.values() for seconds in all_of_one])
    by_name = ", ".join(
        f"{name.removeprefix('mobvibe ')} {max(all_of_one):.1f}" for name, all_of_one in noticed.items()
    )
    text = f"links given up after {shown(everything)} s; the longest of each: {by_name or 'none'}"
    if never:
        text += f"; NEVER within {_SILENT_MOST_SECONDS:.0f} s: {', '.join(sorted(set(never)))} ({len(never)} links)"
    return Figure("half_open", text, verdict.holds and not never, {"noticed": everything, "never": len(never)})
