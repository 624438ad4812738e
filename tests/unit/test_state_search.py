"""Every state that a job, its messages and its workers can get into: no invariant breaks, and no job is lost.

It also shows what each guard is for: without it, the shortest history that breaks an invariant.
"""

import pytest

from tests.support.model import Model, Size
from tests.support.sized import by_size, sized
from tests.support.state_search import search

SIZES: dict[str, tuple[Size, int]] = {
    # Operators, two bridges, a process that outlives its lease, and reclaim.
    "one worker": (Size(copies=1), 18_048),
    "two workers": (Size(workers=2, copies=1, operators=False, pauses=False), 11_712),
    "two jobs in one message": (
        Size(jobs=2, attempts=1, copies=1, messages=1, bridges=1, operators=False, pauses=False),
        8_280,
    ),
    "two copies of a message, one attempt": (Size(attempts=1, bridges=1), 2_844),
}
LARGE: dict[str, tuple[Size, int]] = {
    "two copies of a message": (Size(), 60_912),
    "two jobs in one message, and retries": (
        Size(jobs=2, copies=1, messages=1, bridges=1, operators=False, pauses=False),
        30_104,
    ),
    "two jobs in one message, and operators": (
        Size(jobs=2, attempts=1, copies=1, messages=1, bridges=1, pauses=False),
        81_764,
    ),
}
SIZES |= by_size({}, LARGE)
# Parts of the names of steps that each size must have. A change of the model could drop such steps unnoticed.
EVERYWHERE = [
    *("Redis loses", "dies", "fetches", "starts", "answer lost", "completes", "fails", "refused", "heartbeat of"),
    *("bridge releases", "hands back stray", "reclaim", "crashed", "released", "lease of hand-over"),
]
STEPS: dict[str, list[str]] = {
    "one worker": ["cancel", "marked", "retry", "lease of 0 runs out", "declared lost", "is refused, starts over"],
    "two workers": ["1 starts"],
    "two jobs in one message": ["reclaim 1"],
    "two copies of a message, one attempt": ["Redis doubles", "cancel", "retry", "declared lost"],
    "two copies of a message": ["Redis doubles", "cancel", "retry", "declared lost"],
    "two jobs in one message, and retries": ["reclaim 1"],
    "two jobs in one message, and operators": ["cancel 1", "retry 1", "reclaim 1"],
}


@sized
@pytest.mark.parametrize("name", SIZES)
def test_every_state_keeps_the_invariants_and_can_end(name: str) -> None:
    size, states = SIZES[name]

    found = search(Model(size))

    missing = [part for part in EVERYWHERE + STEPS[name] if not any(part in step for step in found.steps)]
    assert missing == []

    assert (found.broken, found.history) == (None, ())
    # A change of the model changes this number. A much smaller number means that the model lost some of its steps.
    assert found.states == states


FULL = Size(copies=1)
SMALL = Size(attempts=1, copies=1, bridges=1, operators=False)  # a size of which all states must be visited

MUTATIONS = [
    # Reports that match too much: by id alone, as many queues do; by id and state.
    ({"complete: status", "complete: fence and exec"}, "3 two terminal events", 6, FULL),
    ({"complete: status"}, "3 two terminal events", 6, FULL),
    ({"complete: fence and exec"}, "5 stale report accepted", 7, FULL),
    ({"fail: status"}, "2 a terminal state left", 6, FULL),
    ({"fail: fence and exec"}, "5 stale report accepted", 7, FULL),
    ({"release: status"}, "2 a terminal state left", 3, FULL),
    ({"release: fence"}, "5 stale report accepted", 5, FULL),
    ({"release: exec"}, "5 stale report accepted", 5, FULL),
    # Starts: the message came twice, late, or to a worker whose lease ran out.
    ({"start: exec is null"}, "6 an attempt started twice", 7, FULL),
    ({"start: status"}, "5 stale start accepted", 5, FULL),
    ({"start: fence"}, "5 stale start accepted", 6, FULL),
    ({"start: worker lives"}, "8 started under no lease", 5, FULL),
    ({"claim: pending"}, "4 an attempt without an ending", 2, FULL),
    ({"claim: raises the fence"}, "6 an attempt started twice", 9, FULL),
    ({"claim: clears exec"}, "6 a crash of what was never started", 7, FULL),
    # Reclaim: a sweep that reads first and writes later, by id.
    ({"reclaim: one statement"}, "2 a terminal state left", 5, FULL),
    ({"reclaim: status"}, "2 a terminal state left", 6, FULL),
    ({"reclaim: silent"}, "8 taken from the living", 2, FULL),
    ({"cancel: unfinished"}, "2 a terminal state left", 2, FULL),
    ({"retry: not processing"}, "4 an attempt without an ending", 3, FULL),
    # Without reclaim, jobs are lost.
    ({"reclaim: at all"}, "1 a job lost", 2, SMALL),
    ({"heartbeat: refused once lost"}, "1 a job lost", 2, SMALL),
    ({"heartbeat: names strays"}, "1 a job lost", 4, SMALL),
]


@pytest.mark.parametrize(
    ("without", "broken", "steps", "size"),
    MUTATIONS,
    ids=lambda value: " and ".join(sorted(value)) if isinstance(value, set) else str(value)[:60],
)
def test_each_guard_is_needed(without: set[str], broken: str, steps: int, size: Size) -> None:
    found = search(Model(size, frozenset(without)))

    assert (found.broken, len(found.history)) == (broken, steps), found


def test_every_guard_of_the_model_has_its_mutation() -> None:
    asked: set[str] = set()

    class Recorder(frozenset[str]):
        def __contains__(self, guard: object) -> bool:
            asked.add(str(guard))
            return False

    search(Model(SMALL, Recorder()))
    search(Model(Size(attempts=1, copies=1, bridges=1, pauses=False), Recorder()))

    assert asked == {guard for without, *_ in MUTATIONS for guard in without}
