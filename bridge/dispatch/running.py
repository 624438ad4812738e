"""A part of the bridge that repeats a step: with a loop of its own, and a link to Postgres of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from bridge.postgres.link import Link
from bridge.runtime.loop import Loop


class Hop(Protocol):
    def step(self) -> float:
        """Do what is due; the seconds to rest until the next step."""


H = TypeVar("H", bound=Hop)


@dataclass(frozen=True, slots=True)
class Running(Generic[H]):
    """A hop, the loop that repeats its step, and the link that this loop alone uses: a link serves one thread."""

    hop: H
    loop: Loop
    link: Link


def running(name: str, dsn: str, new_hop: Callable[[Link], H], *, keeps_link: bool = True) -> Running[H]:
    """The hop that `new_hop` makes on a new link. Nothing is started or connected yet.

    `keeps_link=False` closes the link after each step: for a hop with rests so long that a dead link would be noticed
    late.
    """
    link = Link(dsn, name)
    hop = new_hop(link)
    return Running(hop, Loop(name, hop.step if keeps_link else _closing_after(hop.step, link)), link)


def _closing_after(step: Callable[[], float], link: Link) -> Callable[[], float]:
    def step_and_close() -> float:
        try:
            return step()
        finally:
            link.close()

    return step_and_close
