"""A rollout of today's release over the one before it, and back, while jobs come in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.rollout.fleet import Fleet, open_fleet
from tests.rollout.load import Load, Verdict
from tests.rollout.releases import TODAY, Release, previous


@dataclass(frozen=True)
class Options:
    rate: float
    """Jobs a second."""
    roles: tuple[str, ...]
    between: int
    """Jobs that must end between two steps, so that each mixture of releases works."""


@dataclass(frozen=True)
class Outcome:
    verdict: Verdict
    troubles: list[str]
    """Of processes."""
    warnings: list[str]


def run(options: Options, dsn: str, redis_url: str, folder: Path, say: Callable[[str], None]) -> Outcome:
    """`dsn` is an empty database, `folder` an empty folder."""
    before = previous(folder)
    with open_fleet(folder, dsn, redis_url) as fleet:
        fleet.migrate(before)
        for role in options.roles:
            fleet.start(role, before)
        with Load(dsn, options.rate, folder / "runs") as load:

            def step(what: str, act: Callable[[], object]) -> None:
                say(what)
                act()
                load.wait_for_jobs(options.between)

            def replace(release: Release) -> Callable[[], None]:
                return lambda: fleet.replace(release, each=lambda _: load.wait_for_jobs(options.between))

            load.wait_for_jobs(options.between)
            step("today's images, before their migration", replace(TODAY))
            step("back to the images before", replace(before))
            step("the migration", lambda: fleet.migrate(TODAY))
            step("a crash: the images before start again on today's schema", lambda: _crash_all(fleet))
            step("today's images", replace(TODAY))
            step("the migration once more: nothing to do", lambda: fleet.migrate(TODAY))
            step("back to the images before, today's schema stays", replace(before))
            step("today's images again", replace(TODAY))
        verdict = load.verdict()
        for member in list(fleet.members):
            fleet.stop(member)
        return Outcome(verdict, fleet.troubles(), fleet.warnings())


def _crash_all(fleet: Fleet) -> None:
    for member in list(fleet.members):
        fleet.restart(member)
