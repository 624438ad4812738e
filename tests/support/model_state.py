"""The parts of a state of `model.py`, and how each part changes."""

from typing import NamedTuple

TERMINAL = frozenset({"completed", "failed", "cancelled"})
LOST = -1  # in `Job.worker`: a dead process, whose lease may run out now


class Job(NamedTuple):
    status: str = "pending"
    exec: bool = False
    worker: int | None = None
    expired: bool = False  # the lease of the hand-over
    spent: int = 0  # retry_count
    marked: bool = False  # cancel_requested_at
    # What the row does not hold, and the checks need.
    open: bool = False  # the latest attempt has no ending in the ledger
    started: bool = False  # the latest attempt was started
    retried: bool = False  # by an operator, who may do so once


class Claim(NamedTuple):
    job: int
    current: bool


class Run(NamedTuple):
    job: int
    own: bool
    current: bool


Message = tuple[Claim, ...]


class Worker(NamedTuple):
    lease: str = "live"  # live, expired, stopped (declared lost)
    message: Message = ()
    runs: tuple[Run, ...] = ()


class State(NamedTuple):
    jobs: tuple[Job, ...]
    workers: tuple[Worker, ...]
    held: tuple[Claim, ...] = ()  # by the bridge: claimed, not yet published
    redis: tuple[Message, ...] = ()
    swept: tuple[int, ...] = ()  # read by a sweep that writes later; a sweep of ours never does


class Step(NamedTuple):
    name: str
    after: State
    breaks: str | None = None
    is_help: bool = True  # a step that needs no fault and no operator


def end(state: State, j: int, name: str, status: str, *, spends: bool = False, stale: bool = False) -> Step:
    """The attempt in progress ends, and its row in the ledger says so."""
    job = state.jobs[j]
    breaks = left_terminal(job) if status == "pending" else None
    if job.status in TERMINAL and status != "pending":
        breaks = "3 two terminal events"
    elif stale:
        breaks = breaks or "5 stale report accepted"
    elif not job.open:
        breaks = breaks or "3 an attempt ended twice"
    if job.marked and status != "completed":
        status = "cancelled"
    ended = job._replace(status=status, expired=False, spent=job.spent + spends, open=False)
    return Step(name, with_job(state, j, forgetful(ended)), breaks)


def forgetful(job: Job) -> Job:
    """The job without values that no guard reads any more, so that there are fewer states to visit."""
    return job._replace(worker=None, marked=False, spent=0 if job.status in TERMINAL else job.spent)


def left_terminal(job: Job) -> str | None:
    return "2 a terminal state left" if job.status in TERMINAL else None


def age(state: State, j: int, copies: int) -> State:
    """The fence of job `j` is raised: messages and claims with the old one are stale for good."""

    def aged(claims: Message) -> Message:
        return tuple(sorted({Claim(c.job, c.current and c.job != j) for c in claims}))

    workers = tuple(
        worker._replace(
            message=aged(worker.message),
            runs=tuple(sorted(Run(j, own=False, current=False) if run.job == j else run for run in worker.runs)),
        )
        for worker in state.workers
    )
    redis: list[Message] = []
    for message in map(aged, state.redis):
        if redis.count(message) < (copies if any(claim.current for claim in message) else 1):
            redis.append(message)  # more copies of a stale message lead to no other states
    return state._replace(held=aged(state.held), redis=tuple(sorted(redis)), workers=workers)


def disown(state: State, j: int) -> State:
    """Job `j` gets a new exec, which no earlier run has."""
    workers = tuple(
        worker._replace(runs=tuple(run._replace(own=False) if run.job == j else run for run in worker.runs))
        for worker in state.workers
    )
    return state._replace(workers=workers)


def reborn(state: State, w: int) -> State:
    """Process `w` registers under a new id; its runs now belong to a lost worker."""
    jobs = tuple(job._replace(worker=LOST) if job.worker == w else job for job in state.jobs)
    return with_worker(state._replace(jobs=jobs), w, Worker())


def with_job(state: State, j: int, job: Job) -> State:
    return state._replace(jobs=(*state.jobs[:j], job, *state.jobs[j + 1 :]))


def with_worker(state: State, w: int, worker: Worker) -> State:
    return state._replace(workers=(*state.workers[:w], worker, *state.workers[w + 1 :]))


def names(claims: Message) -> str:
    return "+".join(f"{claim.job}{'' if claim.current else ' (stale)'}" for claim in claims)
