"""The distributions that an installation of this project consists of, found by what each asks for."""

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

PROJECT = "mobvibe-bridge"
# Who gets which: in the image; with an extra for the agent; on a developer's machine.
USES: Mapping[str, tuple[str, ...]] = {
    "run": (),
    "agent": ("agent",),
    "agent-sdk": ("agent-sdk",),
    "embedded": ("embedded",),
    "development": ("dev", "docs"),
}
_BY_ITSELF = {"agent-sdk"}  # too large to be part of every `make install`


def by_use() -> dict[str, tuple[str, Distribution]]:
    """Name → the first use that has it, and the distribution. A large extra counts where it is installed."""
    found: dict[str, tuple[str, Distribution]] = {}
    for use, extras in USES.items():
        try:
            found = {name: (use, one) for name, one in dependencies(extras).items()} | found
        except LookupError:
            if use not in _BY_ITSELF:
                raise
    return found


def dependencies(extras: Iterable[str] = ()) -> dict[str, Distribution]:
    """Name → distribution, for this interpreter and platform; the project itself is left out.

    LookupError: one that is asked for is not installed.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    open_ends = [(PROJECT, frozenset(extras))]
    while open_ends:
        name, with_extras = open_ends.pop()
        if (name, with_extras) in seen:
            continue
        seen.add((name, with_extras))
        found[name] = _installed(name)
        open_ends += [(_normal(one.name), frozenset(one.extras)) for one in _asked_for(found[name], with_extras)]
    return {name: found[name] for name in sorted(found) if name != PROJECT}


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise LookupError(f"{name} is asked for and is not installed: make install") from None


def _asked_for(one: Distribution, extras: frozenset[str]) -> list[Requirement]:
    requirements = [Requirement(line) for line in one.requires or []]
    environments = [{"extra": extra} for extra in ("", *extras)]
    return [
        asked for asked in requirements if not asked.marker or any(asked.marker.evaluate(env) for env in environments)
    ]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
