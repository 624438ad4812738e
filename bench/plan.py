"""The sizes of all measurements: one plan for figures to publish, one that takes a few minutes."""

from collections.abc import Sequence
from dataclasses import dataclass

FIRST = ("bridge", "dramatiq", "pgqueuer_best")
FIRST_IN_LATENCY = ("bridge", "dramatiq", "pgqueuer")


@dataclass(frozen=True)
class Plan:
    drain_rounds: int = 3
    drain_share: float = 1.0  # of the jobs that a contestant's drain has
    drain_contestants: tuple[str, ...] | None = None  # None is all
    once: tuple[str, ...] = ("dramatiq_best", "procrastinate", "celery")  # no goal is about them: one round will do
    latency_rounds: int = 3
    latency_seconds: float = 10.0  # of each round
    idle_latency_jobs: int = 15
    latency_contestants: tuple[str, ...] = (
        "bridge", "dramatiq", "pgqueuer", "procrastinate", "celery",
    )  # fmt: skip
    idle_latency_contestants: tuple[str, ...] = ("bridge", "dramatiq", "pgqueuer", "procrastinate", "celery")
    pooler_rounds: int = 20  # short ones, so that both ways meet the same other load
    pooler_seconds: float = 3.0
    growth_rows: int = 2_000_000
    growth_rounds: int = 5
    growth_claims: int = 400  # of each round
    growth_stats: int = 40
    held_jobs: int = 120_000  # ten minutes at 200 a second
    held_seconds: float = 20.0
    insert_rounds: int = 5
    insert_seconds: float = 2.0
    idle_seconds: float = 30.0
    scale_rounds: int = 3
    scale_jobs: int = 50_000
    nap_jobs: int = 4_000
    priority_rounds: int = 3
    priority_trials: int = 1000
    recovery_rounds: int = 3
    recovery_kills: int = 2  # from outside, in each round
    recovery_killers: tuple[int, ...] = (1, 2, 5)  # among the jobs, in the first round
    fault_rounds: int = 3
    fault_jobs: int = 12_000
    ways_rounds: int = 3
    ways_rate_seconds: float = 1.5
    ways_jobs: int = 30_000  # of each warm drain
    ways_pairs: int = 3  # more drains of those that a goal compares, in each round: two in a row differ by a tenth
    ways_seconds: float = 10.0  # of single jobs, by each way
    cold_jobs: int = 100_000

    def of_round(self, number: int, names: Sequence[str]) -> list[str]:
        """Who takes part in round `number`, from 1."""
        return [name for name in names if number == 1 or name not in self.once]


FULL = Plan()
QUICK = Plan(
    drain_rounds=1,
    drain_share=0.2,
    drain_contestants=FIRST,
    latency_rounds=1,
    latency_seconds=5.0,
    idle_latency_jobs=15,
    latency_contestants=FIRST_IN_LATENCY,
    idle_latency_contestants=("bridge", "dramatiq"),
    pooler_rounds=4,
    growth_rows=200_000,
    growth_rounds=3,
    growth_claims=100,
    growth_stats=20,
    held_jobs=20_000,
    held_seconds=5.0,
    insert_rounds=3,
    insert_seconds=0.6,
    idle_seconds=10.0,
    scale_rounds=1,
    scale_jobs=10_000,
    nap_jobs=2_000,
    priority_rounds=1,
    priority_trials=100,
    recovery_rounds=1,
    recovery_kills=1,
    recovery_killers=(2,),
    fault_rounds=1,
    fault_jobs=5_000,
    ways_rounds=1,
    ways_rate_seconds=0.5,
    ways_jobs=5_000,
    ways_pairs=0,
    ways_seconds=3.0,
    cold_jobs=10_000,
)
