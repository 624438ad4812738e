"""Visits every state of the model, breadth first. By hand: python -m tests.support.state_search --help

It checks two things. Safety: no step breaks an invariant. Liveness: from every state all jobs can still end,
without further faults and without an operator; so no state exists that only a fault could lead out of.
"""

import argparse
import sys
import time
from collections import deque
from dataclasses import dataclass

from tests.support.model import Model, Size
from tests.support.model_state import TERMINAL, State

Parents = dict[State, tuple[State, str] | None]


@dataclass(frozen=True)
class Found:
    """The result of a search: `broken` is None if everything holds, else `history` is the shortest way there."""

    states: int
    depth: int
    broken: str | None = None
    history: tuple[str, ...] = ()
    steps: frozenset[str] = frozenset()  # all that were taken, by their names


def search(model: Model) -> Found:
    first = model.first()
    parents: Parents = {first: None}
    depths = {first: 0}
    before: dict[State, list[State]] = {}  # by steps that need no fault and no operator
    waiting = deque([first])
    taken: set[str] = set()
    while waiting:
        state = waiting.popleft()
        for name, after, breaks, is_help in model.steps(state):
            taken.add(name)
            if breaks is not None:
                return Found(len(parents), depths[state] + 1, breaks, (*_history(parents, state), name))
            if is_help:
                before.setdefault(after, []).append(state)
            if after not in parents:
                parents[after] = (state, name)
                depths[after] = depths[state] + 1
                waiting.append(after)
    deepest = depths[next(reversed(depths))]
    stuck = _first_that_cannot_end(parents, before)
    if stuck is not None:
        return Found(len(parents), depths[stuck], "1 a job lost", _history(parents, stuck))
    return Found(len(parents), deepest, steps=frozenset(taken))


def _first_that_cannot_end(parents: Parents, before: dict[State, list[State]]) -> State | None:
    can_end = {state for state in parents if all(job.status in TERMINAL for job in state.jobs)}
    waiting = list(can_end)
    while waiting:
        for earlier in before.get(waiting.pop(), ()):
            if earlier not in can_end:
                can_end.add(earlier)
                waiting.append(earlier)
    return next((state for state in parents if state not in can_end), None)  # parents are in order of depth


def _history(parents: Parents, state: State) -> tuple[str, ...]:
    steps: list[str] = []
    while (came := parents[state]) is not None:
        state, name = came
        steps.append(name)
    return tuple(reversed(steps))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.state_search", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--attempts", type=int, default=2)
    parser.add_argument("--copies", type=int, default=2, help="of one message in Redis at a time")
    parser.add_argument("--messages", type=int, default=8, help="in Redis at a time")
    parser.add_argument("--bridges", type=int, choices=(1, 2), default=2)
    parser.add_argument("--no-operators", action="store_true", help="without cancel and retry")
    parser.add_argument("--no-pauses", action="store_true", help="without processes that outlive their lease")
    parser.add_argument("--without", action="append", default=[], help="a guard to take away, by its name in the model")
    args = parser.parse_args()
    size = Size(
        args.jobs, args.workers, args.attempts, args.copies, args.messages, args.bridges,
        not args.no_operators, not args.no_pauses,
    )  # fmt: skip
    began = time.monotonic()
    found = search(Model(size, frozenset(args.without)))
    print(f"{size}: {found.states} states, depth {found.depth}, {time.monotonic() - began:.1f} s")
    if found.broken is None:
        print("Every invariant holds, and every state can still end.")
        return 0
    print(f"Broken: {found.broken}")
    for number, step in enumerate(found.history, 1):
        print(f"  {number}. {step}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
