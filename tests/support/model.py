"""A job, its messages and its workers as a state machine that is small enough to visit every state of it.

Time is left out: a lease may run out at any moment, so that safety depends on no clock. Numbers are
left out too. A fence is only compared with its job's, and an old one never becomes current again; so a message knows
whether its fence is `current`, and a run whether its exec is the job's `own`.

`without` names guards to remove: the search must then find a history in which each of them is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.model_state import (
    LOST,
    TERMINAL,
    Claim,
    Job,
    Message,
    Run,
    State,
    Step,
    Worker,
    age,
    disown,
    end,
    forgetful,
    left_terminal,
    names,
    reborn,
    with_job,
    with_worker,
)


@dataclass(frozen=True)
class Size:
    jobs: int = 1
    workers: int = 1
    attempts: int = 2
    copies: int = 2  # of one message in Redis
    messages: int = 8  # in Redis
    bridges: int = 2  # a bridge forgets its earlier claim of a job when it claims that job again
    operators: bool = True  # cancel and retry
    pauses: bool = True  # a live process may be silent until its lease has expired


class Model:
    def __init__(self, size: Size, without: frozenset[str] = frozenset()) -> None:
        self.size = size
        self._without = without

    def first(self) -> State:
        return State((Job(),) * self.size.jobs, (Worker(),) * self.size.workers)

    def steps(self, state: State) -> Iterator[Step]:
        """All steps that may come next."""
        for j in range(len(state.jobs)):
            yield from self._claim(state, j)
            yield from self._reclaim(state, j)
            if self.size.operators:
                yield from self._operate(state, j)
        yield from self._bridge(state)
        yield from self._redis(state)
        for w in range(len(state.workers)):
            yield from self._lease(state, w)
            yield from self._start(state, w)
            yield from self._report(state, w)
            yield from self._give_back_strays(state, w)

    def _needs(self, guard: str, holds: bool) -> bool:
        return holds or guard in self._without

    # The bridge.

    def _claim(self, state: State, j: int) -> Iterator[Step]:
        job = state.jobs[j]
        if not self._needs("claim: pending", job.status == "pending"):
            return
        breaks = left_terminal(job) or ("4 an attempt without an ending" if job.open else None)
        raises = "claim: raises the fence" not in self._without
        aged = age(state, j, self.size.copies) if raises else state
        claimed = job._replace(
            status="processing",
            exec=job.exec and "claim: clears exec" in self._without,
            worker=None,
            expired=False,
            marked=False,
            open=True,
            started=job.started and not raises,
        )
        others = [claim for claim in aged.held if claim.job != j or self.size.bridges > 1]
        held = tuple(sorted({*others, Claim(j, current=True)}))
        yield Step(f"claim {j}", with_job(aged._replace(held=held), j, claimed), breaks)

    def _bridge(self, state: State) -> Iterator[Step]:
        if not state.held:
            return
        yield Step("bridge crashes", state._replace(held=()), is_help=False)
        parcels: list[Message] = [(claim,) for claim in state.held]
        if len(state.held) > 1:
            parcels.append(state.held)  # short jobs travel together
        for parcel in parcels:
            if state.redis.count(parcel) < self.size.copies and len(state.redis) < self.size.messages:
                there = state._replace(redis=tuple(sorted((*state.redis, parcel))))
                rest = tuple(claim for claim in state.held if claim not in parcel)
                yield Step(f"publish {names(parcel)}", there._replace(held=rest))
                yield Step(f"publish {names(parcel)}, answer lost", there, is_help=False)
        for claim in state.held:
            rest = tuple(other for other in state.held if other != claim)
            yield self._release(state._replace(held=rest), "bridge releases", claim.job, claim.current, exec_fits=None)

    def _release(self, state: State, name: str, j: int, current: bool, exec_fits: bool | None) -> Step:
        """`exec_fits`: None is a release of a hand-over that nobody has started."""
        job = state.jobs[j]
        fits = not job.exec if exec_fits is None else exec_fits
        accepted = (
            self._needs("release: status", job.status == "processing")
            and self._needs("release: fence", current)
            and self._needs("release: exec", fits)
        )
        if not accepted:
            return Step(f"{name} {j}: refused", state)
        return end(state, j, f"{name} {j}", "pending", stale=not (current and fits and job.status == "processing"))

    # Redis.

    def _redis(self, state: State) -> Iterator[Step]:
        for message in dict.fromkeys(state.redis):
            rest = list(state.redis)
            rest.remove(message)
            fewer = state._replace(redis=tuple(rest))
            yield Step(f"Redis loses {names(message)}", fewer, is_help=False)
            if state.redis.count(message) < self.size.copies and any(claim.current for claim in message):
                doubled = tuple(sorted((*state.redis, message)))
                yield Step(f"Redis doubles {names(message)}", state._replace(redis=doubled), is_help=False)
            for w, worker in enumerate(state.workers):
                if not worker.message and not worker.runs:
                    yield Step(f"{w} fetches {names(message)}", with_worker(fewer, w, worker._replace(message=message)))

    # Workers.

    def _lease(self, state: State, w: int) -> Iterator[Step]:
        worker = state.workers[w]
        yield Step(f"{w} dies", reborn(state, w), is_help=False)
        if worker.lease == "live" and self.size.pauses:
            yield Step(f"lease of {w} runs out", with_worker(state, w, worker._replace(lease="expired")), is_help=False)
        if worker.lease == "expired":
            yield Step(f"{w} is declared lost", with_worker(state, w, worker._replace(lease="stopped")))
        # The heartbeat.
        if worker.lease == "stopped" and "heartbeat: refused once lost" not in self._without:
            yield Step(f"{w} is refused, starts over", reborn(state, w))
            return
        kept = tuple(run for run in worker.runs if run.own and state.jobs[run.job].status == "processing")
        lease = worker.lease if worker.lease == "stopped" else "live"
        beaten = worker._replace(lease=lease, runs=kept)
        if beaten != worker:
            yield Step(f"heartbeat of {w}", with_worker(state, w, beaten))

    def _start(self, state: State, w: int) -> Iterator[Step]:
        worker = state.workers[w]
        if not worker.message:
            return
        runs: list[Run] = []
        breaks = None
        after = state
        for claim in worker.message:
            job = after.jobs[claim.job]
            accepted = (
                self._needs("start: status", job.status == "processing")
                and self._needs("start: fence", claim.current)
                and self._needs("start: exec is null", not job.exec)
                and self._needs("start: worker lives", worker.lease == "live")
            )
            if not accepted:
                continue
            if job.started and claim.current:
                breaks = breaks or "6 an attempt started twice"
            elif not (claim.current and job.status == "processing"):
                breaks = breaks or "5 stale start accepted"
            elif worker.lease != "live":
                breaks = breaks or "8 started under no lease"
            after = disown(after, claim.job)
            after = with_job(after, claim.job, job._replace(exec=True, worker=w, expired=False, started=True))
            runs.append(Run(claim.job, own=True, current=claim.current))
        name = f"{w} starts {names(worker.message)}"
        emptied = worker._replace(message=())
        yield Step(name, with_worker(after, w, emptied._replace(runs=tuple(sorted(runs)))), breaks)
        if runs:
            yield Step(f"{name}, answer lost", with_worker(after, w, emptied), breaks, is_help=False)

    def _report(self, state: State, w: int) -> Iterator[Step]:
        worker = state.workers[w]
        for run in dict.fromkeys(worker.runs):
            job = state.jobs[run.job]
            rest = list(worker.runs)
            rest.remove(run)
            after_report = with_worker(state, w, worker._replace(runs=tuple(rest)))
            is_ours = job.status == "processing" and run.own
            for verb in ("complete", "fail"):
                accepted = (
                    self._needs(f"{verb}: status", job.status == "processing")
                    and self._needs(f"{verb}: fence and exec", run.own)
                )  # fmt: skip
                if not accepted:
                    yield Step(f"{w} {verb}s {run.job}: refused", after_report)
                    continue
                status = "completed" if verb == "complete" else self._after_failure(job)
                for is_answered in (True, False):
                    name = f"{w} {verb}s {run.job}" + ("" if is_answered else ", answer lost")
                    step = end(
                        after_report if is_answered else state,
                        run.job,
                        name,
                        status,
                        spends=verb == "fail",
                        stale=not is_ours,
                    )
                    yield step._replace(is_help=is_answered)
            yield self._release(after_report, f"{w} releases", run.job, run.current, exec_fits=run.own)

    def _give_back_strays(self, state: State, w: int) -> Iterator[Step]:
        """A heartbeat names what the row says this worker runs, and it does not."""
        if "heartbeat: names strays" in self._without:
            return
        worker = state.workers[w]
        for j, job in enumerate(state.jobs):
            is_its_own = job.status == "processing" and job.worker == w and worker.lease != "stopped"
            if is_its_own and not any(run.job == j and run.own for run in worker.runs):
                yield self._release(state, f"{w} hands back stray", j, current=True, exec_fits=True)

    # Reclaim.

    def _after_failure(self, job: Job) -> str:
        return "pending" if job.spent + 1 < self.size.attempts else "failed"

    def _reclaim(self, state: State, j: int) -> Iterator[Step]:
        job = state.jobs[j]
        if job.status == "processing" and not job.exec and not job.expired:
            yield Step(f"lease of hand-over {j} runs out", with_job(state, j, job._replace(expired=True)))
        if "reclaim: at all" in self._without:
            return
        gone = job.worker in (None, LOST) or state.workers[job.worker].lease == "stopped"
        silent = gone if job.exec else job.expired
        found = self._needs("reclaim: status", job.status == "processing") and self._needs("reclaim: silent", silent)
        if "reclaim: one statement" in self._without:
            if found and j not in state.swept:
                yield Step(f"sweep reads {j}", state._replace(swept=tuple(sorted((*state.swept, j)))))
            if j not in state.swept:
                return
            state = state._replace(swept=tuple(other for other in state.swept if other != j))
        elif not found:
            return
        taken = "8 taken from the living" if job.status == "processing" and not silent else None
        if job.exec and not job.started:
            taken = "6 a crash of what was never started"
        if job.exec:
            step = end(state, j, f"reclaim {j}: crashed", self._after_failure(job), spends=True)
        else:
            step = end(state, j, f"reclaim {j}: released", "pending")
        yield step._replace(breaks=step.breaks or taken)

    # Operators.

    def _operate(self, state: State, j: int) -> Iterator[Step]:
        job = state.jobs[j]
        if self._needs("cancel: unfinished", job.status not in TERMINAL):
            if job.status == "processing" and job.exec:
                if not job.marked:
                    yield Step(f"cancel {j}: marked", with_job(state, j, job._replace(marked=True)), is_help=False)
            elif job.status == "processing":
                yield end(state, j, f"cancel {j}", "cancelled")._replace(is_help=False)
            else:
                cancelled = forgetful(job._replace(status="cancelled"))
                yield Step(f"cancel {j}", with_job(state, j, cancelled), left_terminal(job), is_help=False)
        may_retry = job.status in TERMINAL or (job.status == "processing" and "retry: not processing" in self._without)
        if may_retry and not job.retried:
            fresh = job._replace(status="pending", spent=0, marked=False, retried=True)
            yield Step(f"retry {j}", with_job(state, j, fresh), is_help=False)
