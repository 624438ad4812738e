"""The results of a run. A measurement that was left out or failed is empty or None."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.documented import Documented
from bench.faults import Faults
from bench.growth import Growth
from bench.held import Held
from bench.idle import Idle
from bench.insert import Insert
from bench.numbers import Rounds
from bench.priority import Urgent
from bench.recovery import Trial
from bench.scale import Scale


@dataclass
class Results:
    """Rates are jobs (or rows) a second, latencies milliseconds, each by contestant and round."""

    drain: Mapping[str, Sequence[float]] = field(default_factory=dict)
    latency: Mapping[str, Rounds] = field(default_factory=dict)
    idle_latency: Mapping[str, Rounds] = field(default_factory=dict)
    pooler: Mapping[str, Rounds] = field(default_factory=dict)
    growth: Growth | None = None
    held: Held | None = None
    insert: Mapping[str, Insert] = field(default_factory=dict)
    idle: Idle | None = None
    scale: Scale | None = None
    priority: Mapping[str, Sequence[Urgent]] = field(default_factory=dict)
    recovery: Mapping[int, Sequence[Trial]] = field(default_factory=dict)
    ways: Documented | None = None
    faults: Faults | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
