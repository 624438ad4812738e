"""Which messages a process may start while it has suspects, which run isolated."""

from collections.abc import Sequence
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from bridge.job import Claim
from bridge.postgres.attempts import AttemptKey
from bridge.transport.intake import JobMessage
from bridge.transport.messages import message_id
from bridge.worker.quarantine import TRIAL_SECONDS, Quarantine, State, is_acquitted
from bridge.worker.runs import Run, Runs, WorkerMessage
from tests.support.runs import new_run


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
    """Renews the hand-overs it is asked to, except those that are gone."""

    def __init__(self) -> None:
        self.gone: set[UUID] = set()
        self.calls = 0

    def __call__(self, keys: Sequence[AttemptKey]) -> set[UUID]:
        self.calls += 1
        return {one.job_id for one in keys} - self.gone


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def quarantine(runs: Runs, keeper: Keeper, clock: Clock) -> Quarantine:
    return Quarantine(runs, keeper, keep_seconds=10)


def messages(count: int, *, isolated: bool = True, until_end: bool = False) -> list[WorkerMessage]:
    made: list[WorkerMessage] = []
    for _ in range(count):
        claim = Claim(uuid4(), 1, "tests", "nap", isolated=isolated, isolated_until_end=until_end)
        key = AttemptKey(claim.job_id, 1, uuid4())
        made.append(JobMessage("tests", "nap", str(claim.job_id), message_id(claim), key))
    return made


def begin(runs: Runs, message: WorkerMessage, *, is_last: bool = False, seconds: float = 0) -> Run:
    """A run whose actor began `seconds` ago."""
    run = new_run(message.key, is_last=is_last)
    run.began -= seconds
    run.thread = 1
    runs.add([run])
    return run


def end(run: Run) -> None:
    run.ended, run.thread = run.began + 1, None


def settle(runs: Runs, run: Run) -> None:
    end(run)
    runs.remove([run.key.exec])


def test_a_batch_of_suspects_begins_when_no_other_job_runs_and_runs_one_by_one(
    quarantine: Quarantine, runs: Runs
) -> None:
    before = begin(runs, messages(1, isolated=False)[0])
    batch = messages(3)
    assert quarantine.sort(batch) == ([], batch, []), "another job runs"
    assert quarantine.is_isolating()

    settle(runs, before)
    assert quarantine.sort(batch) == (batch[:1], batch[1:], [])
    first = begin(runs, batch[0])
    quarantine.began(batch[0], first)
    assert quarantine.sort(batch[1:]) == ([], batch[1:], []), "the first runs"
    end(first)
    assert quarantine.sort(batch[1:]) == ([], batch[1:], []), "the first one's report is not written"
    settle(runs, first)
    assert quarantine.sort(batch[1:]) == (batch[1:2], batch[2:], [])


def test_the_process_takes_other_jobs_again_after_the_last_suspect_of_a_batch(
    quarantine: Quarantine, runs: Runs
) -> None:
    (only,) = messages(1)
    quarantine.sort([only])
    run = begin(runs, only)
    quarantine.began(only, run)
    assert quarantine.is_isolating()

    settle(runs, run)

    assert not quarantine.is_isolating()
    others = messages(2, isolated=False)
    assert quarantine.sort(others) == (others, [], [])


def test_jobs_that_came_with_a_batch_run_before_it_and_later_ones_are_given_back(
    quarantine: Quarantine, runs: Runs
) -> None:
    (isolated,), (ordinary, late), (stranger,) = messages(1), messages(2, isolated=False), messages(1)
    assert quarantine.sort([ordinary, isolated]) == ([ordinary], [isolated], [])
    settle(runs, begin(runs, ordinary))
    assert quarantine.sort([isolated, stranger]) == ([isolated], [], [stranger])
    quarantine.began(isolated, begin(runs, isolated))

    assert quarantine.sort([late, stranger]) == ([], [], [stranger, late])


def test_a_batch_that_takes_long_is_given_back(quarantine: Quarantine, runs: Runs, clock: Clock) -> None:
    batch = messages(3)
    quarantine.sort(batch)
    run = begin(runs, batch[0])
    quarantine.began(batch[0], run)
    clock.now += 4
    assert quarantine.sort(batch[1:]) == ([], batch[1:], [])

    clock.now += 2

    assert quarantine.sort(batch[1:]) == ([], [], batch[1:])
    assert quarantine.is_isolating(), "the first still runs"
    settle(runs, run)
    assert not quarantine.is_isolating()


def test_waiting_suspects_have_their_hand_overs_prolonged_or_are_dropped(
    runs: Runs, clock: Clock, keeper: Keeper
) -> None:
    quarantine = Quarantine(runs, keeper, keep_seconds=3)
    before = begin(runs, messages(1, isolated=False)[0])
    batch = messages(3)
    for _ in range(5):
        assert quarantine.sort(batch) == ([], batch, [])
        clock.now += 0.5
    assert keeper.calls == 1, "once at first, before other jobs wait for them"

    clock.now += 1
    keeper.gone = {batch[1].key.job_id}
    assert quarantine.sort(batch) == ([], [batch[0], batch[2]], [])

    settle(runs, before)
    assert quarantine.sort([batch[0], batch[2]]) == ([batch[0]], [batch[2]], [])


@pytest.mark.parametrize("comes_alone", [True, False])
def test_no_job_waits_for_a_suspect_that_does_not_exist(
    quarantine: Quarantine, runs: Runs, keeper: Keeper, comes_alone: bool
) -> None:
    begin(runs, messages(1, isolated=False)[0])
    (forged,), others = messages(1), [] if comes_alone else messages(1, isolated=False)
    keeper.gone = {forged.key.job_id}

    assert quarantine.sort([forged, *others]) == (others, [], [])

    assert not quarantine.is_isolating()


def seconds_kept(quarantine: Quarantine, batch: list[WorkerMessage], clock: Clock) -> float:
    """How many seconds a batch is kept before it is given back."""
    came = clock.now
    while quarantine.sort(batch) == ([], batch, []):
        clock.now += 0.5
        assert clock.now - came < 60, "it is kept for ever"
    return clock.now - came


def test_a_batch_that_cannot_begin_in_this_process_is_given_back(
    quarantine: Quarantine, runs: Runs, clock: Clock
) -> None:
    begin(runs, messages(1, isolated=False)[0])
    batch = messages(2)
    assert seconds_kept(quarantine, batch, clock) == 5
    assert quarantine.is_isolating(), "it takes no jobs, so that another process gets the batch"
    assert quarantine.sort(batch) == ([], [], batch)

    clock.now += 3.1

    assert not quarantine.is_isolating()
    others = messages(1, isolated=False)
    assert quarantine.sort(others) == (others, [], [])


def test_a_batch_that_no_other_process_takes_waits_longer_each_time(
    quarantine: Quarantine, runs: Runs, clock: Clock
) -> None:
    before = begin(runs, messages(1, isolated=False)[0])
    batch = messages(2)
    for seconds in (5, 10, 20):
        assert seconds_kept(quarantine, batch, clock) == seconds
        clock.now += 3.1
    assert quarantine.sort(batch) == ([], batch, [])
    clock.now += 30
    settle(runs, before)

    assert quarantine.sort(batch) == (batch[:1], batch[1:], [])


def test_a_second_batch_does_not_wait_for_the_run_that_blocked_the_first(
    quarantine: Quarantine, runs: Runs, clock: Clock
) -> None:
    before, (first, second, third) = begin(runs, messages(1, isolated=False)[0]), messages(3)
    seconds_kept(quarantine, [first], clock)
    clock.now += 3.1
    assert seconds_kept(quarantine, [second], clock) == 0
    clock.now += 3.1
    assert seconds_kept(quarantine, [second], clock) == 10, "no other process took it"
    clock.now += 3.1
    settle(runs, before)
    begin(runs, messages(1, isolated=False)[0])

    assert seconds_kept(quarantine, [third], clock) == 5


def test_a_suspect_that_began_has_its_full_waiting_time_again(quarantine: Quarantine, runs: Runs, clock: Clock) -> None:
    (job,) = messages(1)
    before = begin(runs, messages(1, isolated=False)[0])
    seconds_kept(quarantine, [job], clock)
    clock.now += 3.1
    settle(runs, before)
    assert quarantine.sort([job]) == ([job], [], [])
    run = begin(runs, job)
    quarantine.began(job, run)
    settle(runs, run)
    begin(runs, messages(1, isolated=False)[0])

    assert seconds_kept(quarantine, [job], clock) == 5


def test_a_suspect_whose_attempt_is_over_is_dropped_and_the_process_does_not_step_aside(
    quarantine: Quarantine, runs: Runs, clock: Clock, keeper: Keeper
) -> None:
    begin(runs, messages(1, isolated=False)[0])
    (forged,), (real,) = messages(1), messages(1)
    seconds_kept(quarantine, [real], clock)
    clock.now += 3.1
    keeper.gone = {forged.key.job_id}

    assert quarantine.sort([forged]) == ([], [], [])

    assert not quarantine.is_isolating()


LONG = TRIAL_SECONDS + 0.1


@pytest.mark.parametrize(
    ("until_end", "seconds", "is_acquitted"),
    [(False, LONG, True), (False, TRIAL_SECONDS - 1, False), (True, LONG, False)],
)
def test_a_suspect_is_acquitted_after_thirty_seconds_unless_it_is_isolated_until_its_end(
    quarantine: Quarantine, runs: Runs, until_end: bool, seconds: float, is_acquitted: bool
) -> None:
    (job,), others = messages(1, until_end=until_end), messages(2, isolated=False)
    assert quarantine.sort([job]) == ([job], [], [])
    quarantine.began(job, begin(runs, job, seconds=seconds))

    assert quarantine.is_isolating() is not is_acquitted
    assert quarantine.sort(others) == ((others, [], []) if is_acquitted else ([], [], others))


def test_the_next_batch_begins_beside_jobs_that_have_run_for_thirty_seconds(quarantine: Quarantine, runs: Runs) -> None:
    first, second = messages(2)
    quarantine.sort([first])
    quarantine.began(first, begin(runs, first, seconds=LONG))
    begin(runs, messages(1, isolated=False)[0], seconds=LONG)
    recent = begin(runs, messages(1, isolated=False)[0], seconds=TRIAL_SECONDS - 1)
    assert quarantine.sort([second]) == ([], [second], [])

    settle(runs, recent)
    assert quarantine.sort([second]) == ([second], [], [])
    quarantine.began(second, begin(runs, second))

    others = messages(1, isolated=False)
    assert quarantine.sort(others) == ([], [], others), "the second has thirty seconds of its own"


def test_a_suspect_that_is_isolated_until_its_end_begins_when_no_other_job_runs(
    quarantine: Quarantine, runs: Runs, clock: Clock
) -> None:
    long = begin(runs, messages(1, isolated=False)[0], seconds=LONG)
    batch = messages(1, until_end=True)
    assert seconds_kept(quarantine, batch, clock) == 5
    clock.now += 3.1
    assert quarantine.sort(batch) == ([], batch, [])

    settle(runs, long)

    assert quarantine.sort(batch) == (batch, [], [])


def test_an_acquitted_suspect_does_not_acquit_the_next(quarantine: Quarantine, runs: Runs) -> None:
    (first,), (second,) = messages(1), messages(1, until_end=True)
    quarantine.sort([first])
    acquitted = begin(runs, first, seconds=LONG)
    quarantine.began(first, acquitted)
    assert quarantine.sort([second]) == ([], [second], [])
    settle(runs, acquitted)
    assert quarantine.sort([second]) == ([second], [], [])

    quarantine.began(second, begin(runs, second, seconds=LONG))

    assert quarantine.is_isolating()


def test_a_batch_does_not_begin_beside_a_last_attempt_or_an_unwritten_report(
    quarantine: Quarantine, runs: Runs
) -> None:
    last = begin(runs, messages(1, isolated=False)[0], is_last=True, seconds=LONG)
    batch = messages(2)
    assert quarantine.sort(batch) == ([], batch, [])
    settle(runs, last)
    over = begin(runs, messages(1, isolated=False)[0], seconds=LONG)
    over.ended, over.thread = over.began + LONG, None
    assert quarantine.sort(batch) == ([], batch, [])

    settle(runs, over)

    assert quarantine.sort(batch) == (batch[:1], batch[1:], [])


def running(quarantine: Quarantine, runs: Runs, batch: list[WorkerMessage]) -> Run:
    """Start the first suspect of a batch."""
    assert quarantine.sort(batch).start == batch[:1]
    run = begin(runs, batch[0])
    quarantine.began(batch[0], run)
    return run


def test_state_is_open_until_a_suspect_comes(quarantine: Quarantine) -> None:
    quarantine.sort(messages(2, isolated=False))
    assert quarantine.state() is State.OPEN

    quarantine.sort(messages(1))

    assert quarantine.state() is State.WAITING


def test_state_goes_from_waiting_to_running_when_a_suspect_began(quarantine: Quarantine, runs: Runs) -> None:
    batch = messages(2)
    quarantine.sort(batch)
    assert quarantine.state() is State.WAITING, "a start that sort() allowed may still fail"

    quarantine.began(batch[0], begin(runs, batch[0]))

    assert quarantine.state() is State.RUNNING


def test_state_goes_from_waiting_to_open_when_the_batch_is_not_sorted_again(
    quarantine: Quarantine, runs: Runs, clock: Clock
) -> None:
    begin(runs, messages(1, isolated=False)[0])
    quarantine.sort(messages(1))
    clock.now += 4.9
    assert quarantine.state() is State.WAITING

    clock.now += 0.2

    assert quarantine.state() is State.OPEN


def test_state_goes_from_waiting_to_open_when_the_batch_is_not_ours(
    quarantine: Quarantine, runs: Runs, keeper: Keeper
) -> None:
    begin(runs, messages(1, isolated=False)[0])
    batch = messages(1)
    keeper.gone = {batch[0].key.job_id}

    quarantine.sort(batch)

    assert quarantine.state() is State.OPEN


def test_state_goes_from_waiting_to_aside_and_after_three_seconds_to_open(
    quarantine: Quarantine, runs: Runs, clock: Clock
) -> None:
    begin(runs, messages(1, isolated=False)[0])
    seconds_kept(quarantine, messages(1), clock)
    assert quarantine.state() is State.ASIDE
    ordinary = messages(1, isolated=False)
    assert quarantine.sort(ordinary).start == ordinary, "they were taken before the process stepped aside"
    assert quarantine.state() is State.ASIDE

    clock.now += 3.1

    assert quarantine.state() is State.OPEN


def test_state_stays_running_between_two_jobs_of_a_batch(quarantine: Quarantine, runs: Runs) -> None:
    batch = messages(2)
    settle(runs, running(quarantine, runs, batch))
    assert quarantine.state() is State.RUNNING

    settle(runs, running(quarantine, runs, batch[1:]))

    assert quarantine.state() is State.OPEN


def test_state_stays_running_when_the_rest_of_a_batch_is_given_back(
    quarantine: Quarantine, runs: Runs, clock: Clock
) -> None:
    batch = messages(2)
    run = running(quarantine, runs, batch)
    clock.now += 5.1
    assert quarantine.sort(batch[1:]).give_back == batch[1:]
    assert quarantine.state() is State.RUNNING

    settle(runs, run)

    assert quarantine.state() is State.OPEN


def test_state_is_open_after_the_start_of_a_job_that_was_not_ours(quarantine: Quarantine, runs: Runs) -> None:
    (only,) = messages(1)
    quarantine.sort([only])

    quarantine.began(only, None)

    assert quarantine.state() is State.OPEN


def test_state_opens_for_the_jobs_that_come_when_a_stage_is_over(quarantine: Quarantine, runs: Runs) -> None:
    batch = messages(1)
    settle(runs, running(quarantine, runs, batch))
    assert quarantine._stage.run is not None, "nobody has looked"

    ordinary = messages(1, isolated=False)
    assert quarantine.sort(ordinary).start == ordinary

    assert quarantine._stage.state is State.OPEN
    assert quarantine._stage.run is None


def test_state_opens_at_once_when_the_whole_batch_is_lost(quarantine: Quarantine, runs: Runs, keeper: Keeper) -> None:
    begin(runs, messages(1, isolated=False)[0])
    batch = messages(2)
    keeper.gone = {one.key.job_id for one in batch}

    assert quarantine.sort(batch) == ([], [], [])

    assert quarantine._stage.state is State.OPEN


def test_state_stays_running_when_the_rest_of_a_batch_is_lost(
    quarantine: Quarantine, runs: Runs, keeper: Keeper, clock: Clock
) -> None:
    batch = messages(2)
    run = running(quarantine, runs, batch)
    keeper.gone = {batch[1].key.job_id}
    clock.now += 4

    assert quarantine.sort(batch[1:]) == ([], [], [])

    assert quarantine.state() is State.RUNNING, "the first runs still"
    others = messages(1, isolated=False)
    assert quarantine.sort(others) == ([], [], others)
    settle(runs, run)
    assert quarantine.state() is State.OPEN


def test_state_opens_for_a_batch_that_comes_after_one_that_was_given_back(
    quarantine: Quarantine, runs: Runs, clock: Clock
) -> None:
    batch = messages(2)
    run = running(quarantine, runs, batch)
    clock.now += 5.1
    quarantine.sort(batch[1:])
    settle(runs, run)

    assert quarantine.sort(batch[1:]) == (batch[1:], [], []), "it came again, as a batch of its own"
    assert quarantine.state() is State.WAITING


@pytest.mark.parametrize(
    ("seconds", "has_thread", "is_until_end", "expected"),
    [
        (TRIAL_SECONDS, True, False, True),
        (TRIAL_SECONDS - 1, True, False, False),
        (TRIAL_SECONDS, False, False, False),
        (TRIAL_SECONDS, True, True, False),
    ],
)
def test_rule_of_acquittal(runs: Runs, seconds: float, has_thread: bool, is_until_end: bool, expected: bool) -> None:
    run = begin(runs, messages(1)[0], seconds=seconds)
    run.thread = 1 if has_thread else None

    assert is_acquitted(run, is_until_end=is_until_end) is expected
