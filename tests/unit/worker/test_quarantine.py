"""Which messages a process may start while jobs are there that run alone."""

from collections.abc import Sequence
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from bridge.job import Attempt, Claim, Job
from bridge.postgres.attempts import Held
from bridge.transport.intake import JobMessage
from bridge.transport.messages import message_id
from bridge.worker.quarantine import TRIAL_SECONDS, Solitude
from bridge.worker.runs import Run, Runs


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("bridge.worker.quarantine.time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def runs() -> Runs:
    return Runs()


class Keeper:
    """Prolongs what it is asked to, but for those that are gone."""

    def __init__(self) -> None:
        self.gone: set[UUID] = set()
        self.calls = 0

    def __call__(self, held: Sequence[Held]) -> set[UUID]:
        self.calls += 1
        return {one.job_id for one in held} - self.gone


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def solitude(runs: Runs, keeper: Keeper, clock: Clock) -> Solitude:
    return Solitude(runs, keeper, keep_seconds=10)


def messages(count: int, *, alone: bool = True, throughout: bool = False) -> list[JobMessage]:
    made = []
    for _ in range(count):
        claim = Claim(uuid4(), 1, "tests", "nap", alone=alone, throughout=throughout)
        made.append(JobMessage("tests", "nap", str(claim.job_id), message_id(claim)))
        made[-1].held = Held(claim.job_id, 1, uuid4())
    return made


def begin(runs: Runs, message: JobMessage, *, is_last: bool = False, seconds: float = 0) -> Run:
    """A run whose actor began so long ago."""
    job = Job(message.held.job_id)
    run = Run(message.held, Attempt(job, message.held.exec, "tests", "nap", is_last))
    run.began -= seconds
    run.thread = 1
    runs.add([run])
    return run


def end(run: Run) -> None:
    run.ended, run.thread = run.began + 1, None


def settle(runs: Runs, run: Run) -> None:
    end(run)
    runs.remove([run.held.exec])


def test_a_line_begins_when_nothing_else_runs_and_goes_on_one_by_one(solitude: Solitude, runs: Runs) -> None:
    before = begin(runs, messages(1, alone=False)[0])
    line = messages(3)
    assert solitude.sort(line) == ([], line, []), "something runs"
    assert solitude.is_on()

    settle(runs, before)
    assert solitude.sort(line) == (line[:1], line[1:], [])
    first = begin(runs, line[0])
    solitude.began(line[0], first)
    assert solitude.sort(line[1:]) == ([], line[1:], []), "the first runs"
    end(first)
    assert solitude.sort(line[1:]) == ([], line[1:], []), "its report is not written"
    settle(runs, first)
    assert solitude.sort(line[1:]) == (line[1:2], line[2:], [])


def test_the_process_is_open_again_after_the_last_of_a_line(solitude: Solitude, runs: Runs) -> None:
    (only,) = messages(1)
    solitude.sort([only])
    run = begin(runs, only)
    solitude.began(only, run)
    assert solitude.is_on()

    settle(runs, run)

    assert not solitude.is_on()
    others = messages(2, alone=False)
    assert solitude.sort(others) == (others, [], [])


def test_what_came_with_a_line_goes_before_it_and_what_comes_later_goes_back(solitude: Solitude, runs: Runs) -> None:
    (alone,), (ordinary, late), (stranger,) = messages(1), messages(2, alone=False), messages(1)
    assert solitude.sort([ordinary, alone]) == ([ordinary], [alone], [])
    settle(runs, begin(runs, ordinary))
    assert solitude.sort([alone, stranger]) == ([alone], [], [stranger])
    solitude.began(alone, begin(runs, alone))

    assert solitude.sort([late, stranger]) == ([], [], [stranger, late])


def test_a_line_that_takes_long_is_given_back(solitude: Solitude, runs: Runs, clock: Clock) -> None:
    line = messages(3)
    solitude.sort(line)
    run = begin(runs, line[0])
    solitude.began(line[0], run)
    clock.now += 4
    assert solitude.sort(line[1:]) == ([], line[1:], [])

    clock.now += 2

    assert solitude.sort(line[1:]) == ([], [], line[1:])
    assert solitude.is_on(), "the first runs still"
    settle(runs, run)
    assert not solitude.is_on()


def test_hand_overs_that_wait_are_prolonged_and_those_that_are_gone_are_dropped(
    runs: Runs, clock: Clock, keeper: Keeper
) -> None:
    solitude = Solitude(runs, keeper, keep_seconds=3)
    before = begin(runs, messages(1, alone=False)[0])
    line = messages(3)
    for _ in range(5):
        assert solitude.sort(line) == ([], line, [])
        clock.now += 0.5
    assert keeper.calls == 1, "before anybody waited for them"

    clock.now += 1
    keeper.gone = {line[1].held.job_id}
    assert solitude.sort(line) == ([], [line[0], line[2]], [])

    settle(runs, before)
    assert solitude.sort([line[0], line[2]]) == ([line[0]], [line[2]], [])


@pytest.mark.parametrize("comes_alone", [True, False])
def test_nobody_waits_for_a_job_that_there_is_not(
    solitude: Solitude, runs: Runs, keeper: Keeper, comes_alone: bool
) -> None:
    begin(runs, messages(1, alone=False)[0])
    (forged,), others = messages(1), [] if comes_alone else messages(1, alone=False)
    keeper.gone = {forged.held.job_id}

    assert solitude.sort([forged, *others]) == (others, [], [])

    assert not solitude.is_on()


def kept_for(solitude: Solitude, line: list[JobMessage], clock: Clock) -> float:
    """For how long a line is kept before it is let go."""
    came = clock.now
    while solitude.sort(line) == ([], line, []):
        clock.now += 0.5
        assert clock.now - came < 60, "it is kept for ever"
    return clock.now - came


def test_a_line_that_cannot_begin_here_is_left_to_others(solitude: Solitude, runs: Runs, clock: Clock) -> None:
    begin(runs, messages(1, alone=False)[0])
    line = messages(2)
    assert kept_for(solitude, line, clock) == 5
    assert solitude.is_on(), "it steps aside, or would get them again"
    assert solitude.sort(line) == ([], [], line)

    clock.now += 3.1

    assert not solitude.is_on()
    others = messages(1, alone=False)
    assert solitude.sort(others) == (others, [], [])


def test_a_line_that_nobody_else_takes_is_waited_for_longer_each_time(
    solitude: Solitude, runs: Runs, clock: Clock
) -> None:
    before = begin(runs, messages(1, alone=False)[0])
    line = messages(2)
    for seconds in (5, 10, 20):
        assert kept_for(solitude, line, clock) == seconds
        clock.now += 3.1
    assert solitude.sort(line) == ([], line, [])
    clock.now += 30
    settle(runs, before)

    assert solitude.sort(line) == (line[:1], line[1:], [])


def test_no_other_line_waits_for_what_one_waited_for_in_vain(solitude: Solitude, runs: Runs, clock: Clock) -> None:
    before, (first, second, third) = begin(runs, messages(1, alone=False)[0]), messages(3)
    kept_for(solitude, [first], clock)
    clock.now += 3.1
    assert kept_for(solitude, [second], clock) == 0
    clock.now += 3.1
    assert kept_for(solitude, [second], clock) == 10, "nobody else took it"
    clock.now += 3.1
    settle(runs, before)
    begin(runs, messages(1, alone=False)[0])

    assert kept_for(solitude, [third], clock) == 5


def test_a_job_that_began_has_all_patience_before_it(solitude: Solitude, runs: Runs, clock: Clock) -> None:
    (job,) = messages(1)
    before = begin(runs, messages(1, alone=False)[0])
    kept_for(solitude, [job], clock)
    clock.now += 3.1
    settle(runs, before)
    assert solitude.sort([job]) == ([job], [], [])
    run = begin(runs, job)
    solitude.began(job, run)
    settle(runs, run)
    begin(runs, messages(1, alone=False)[0])

    assert kept_for(solitude, [job], clock) == 5


def test_what_is_over_is_neither_let_go_nor_stepped_aside_for(
    solitude: Solitude, runs: Runs, clock: Clock, keeper: Keeper
) -> None:
    begin(runs, messages(1, alone=False)[0])
    (forged,), (real,) = messages(1), messages(1)
    kept_for(solitude, [real], clock)
    clock.now += 3.1
    keeper.gone = {forged.held.job_id}

    assert solitude.sort([forged]) == ([], [], [])

    assert not solitude.is_on()


LONG = TRIAL_SECONDS + 0.1


@pytest.mark.parametrize(
    ("throughout", "seconds", "is_acquitted"),
    [(False, LONG, True), (False, TRIAL_SECONDS - 1, False), (True, LONG, False)],
)
def test_a_first_crash_is_forgotten_after_a_trial(
    solitude: Solitude, runs: Runs, throughout: bool, seconds: float, is_acquitted: bool
) -> None:
    (job,), others = messages(1, throughout=throughout), messages(2, alone=False)
    assert solitude.sort([job]) == ([job], [], [])
    solitude.began(job, begin(runs, job, seconds=seconds))

    assert solitude.is_on() is not is_acquitted
    assert solitude.sort(others) == ((others, [], []) if is_acquitted else ([], [], others))


def test_the_next_line_begins_beside_what_has_run_for_long(solitude: Solitude, runs: Runs) -> None:
    first, second = messages(2)
    solitude.sort([first])
    solitude.began(first, begin(runs, first, seconds=LONG))
    begin(runs, messages(1, alone=False)[0], seconds=LONG)
    recent = begin(runs, messages(1, alone=False)[0], seconds=TRIAL_SECONDS - 1)
    assert solitude.sort([second]) == ([], [second], [])

    settle(runs, recent)
    assert solitude.sort([second]) == ([second], [], [])
    solitude.began(second, begin(runs, second))

    others = messages(1, alone=False)
    assert solitude.sort(others) == ([], [], others), "a trial of its own"


def test_what_is_alone_throughout_begins_beside_nothing(solitude: Solitude, runs: Runs, clock: Clock) -> None:
    long = begin(runs, messages(1, alone=False)[0], seconds=LONG)
    line = messages(1, throughout=True)
    assert kept_for(solitude, line, clock) == 5
    clock.now += 3.1
    assert solitude.sort(line) == ([], line, [])

    settle(runs, long)

    assert solitude.sort(line) == (line, [], [])


def test_one_that_is_acquitted_makes_no_exception_for_the_next(solitude: Solitude, runs: Runs) -> None:
    (first,), (second,) = messages(1), messages(1, throughout=True)
    solitude.sort([first])
    acquitted = begin(runs, first, seconds=LONG)
    solitude.began(first, acquitted)
    assert solitude.sort([second]) == ([], [second], [])
    settle(runs, acquitted)
    assert solitude.sort([second]) == ([second], [], [])

    solitude.began(second, begin(runs, second, seconds=LONG))

    assert solitude.is_on()


def test_a_line_does_not_begin_beside_a_last_attempt_or_one_whose_report_is_not_written(
    solitude: Solitude, runs: Runs
) -> None:
    last = begin(runs, messages(1, alone=False)[0], is_last=True, seconds=LONG)
    line = messages(2)
    assert solitude.sort(line) == ([], line, [])
    settle(runs, last)
    over = begin(runs, messages(1, alone=False)[0], seconds=LONG)
    over.ended, over.thread = over.began + LONG, None
    assert solitude.sort(line) == ([], line, [])

    settle(runs, over)

    assert solitude.sort(line) == (line[:1], line[1:], [])
