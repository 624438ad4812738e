"""The ways to end, and the expected outcome of each. The tables in docs/reference/outcomes.md are made from these."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

RETRIED = "warn: Job failed, will retry"
FAILED = "error: Job failed"
COMPLETED = "info: Job completed"
CANCELLED = "warn: Job cancelled"
_BY_WHOM = "^cancelled by mobvibe$"
_HUGE = "x" * 20_000_000
HANDED_BACK = "info: Job handed back"
DROPPED = "warn: Result dropped"


@dataclass(frozen=True)
class End:
    """One way to end. `error` is a pattern for the row's error_message; None where it must be empty."""

    group: str
    name: str
    actor: str
    payload: dict[str, Any]
    status: str
    ledger: tuple[str, ...]
    error: str | None
    log: tuple[str, ...]
    result: Any = None
    is_cancelled: bool = False  # by an operator, once it runs
    is_stopped: bool = False  # the worker, as in a deployment, once it runs
    ends_process: bool = False

    @property
    def title(self) -> str:
        return f"{self.group}: {self.name}"


def all_ends() -> list[End]:
    return [*_returns(), *_exceptions(), *_hooks(), *_interrupts(), *_process()]


def _completes(group: str, name: str, actor: str, payload: dict[str, Any], result: Any = None, **more: Any) -> End:
    log = (DROPPED, COMPLETED) if more.pop("is_dropped", False) else (COMPLETED,)
    return End(group, name, actor, payload, "completed", ("completed",), None, log, result, **more)


def _fails_twice(group: str, name: str, actor: str, payload: dict[str, Any], error: str, **more: Any) -> End:
    return End(group, name, actor, payload, "failed", ("failed", "failed"), error, (RETRIED, FAILED), **more)


def _fails_at_once(group: str, name: str, actor: str, payload: dict[str, Any], error: str, **more: Any) -> End:
    return End(group, name, actor, payload, "failed", ("failed",), error, (FAILED,), **more)


def _called_off(group: str, name: str, actor: str, payload: dict[str, Any], error: str | None, **more: Any) -> End:
    log = more.pop("log", (CANCELLED,))
    return End(group, name, actor, payload, "cancelled", ("cancelled",), error, log, **more)


def _returns() -> Iterator[End]:
    group = "returns"
    for actor in ("returns", "returns_async"):
        yield _completes(group, "nothing", actor, {"value": "nothing"})
        yield _completes(group, "an object", actor, {"value": "an object"}, {"rows": 7})
        yield _completes(group, "20 MB of text", actor, {"value": "20 MB of text"}, _HUGE)
        yield _completes(group, "a NUL character", actor, {"value": "a NUL character"}, {"it": "a\ufffdb"})
        yield _completes(group, "a lone surrogate", actor, {"value": "a lone surrogate"}, {"it": "?"})
        for value, error in {
            "an object that JSON cannot hold": "object is not JSON serializable$",
            "a number that JSON cannot hold": "Out of range float values are not JSON compliant",
            "bytes": "bytes is not JSON serializable$",
            "a generator": "generator is not JSON serializable$",
            "a list that holds itself": "Circular reference detected$",
        }.items():
            yield _fails_at_once(
                group, value, actor, {"value": value}, f"^the result cannot be stored as JSON: .*{error}"
            )
    for value in ("an object that JSON cannot hold", "bytes", "a generator"):
        yield _completes(group, value, "plain_returns", {"kwargs": {"value": value}}, is_dropped=True)
    yield _completes(group, "after printing 20 MB without an end of line", "prints", {"megabytes": 10})


_ERRORS = {
    "ValueError": "^ValueError: a reason$",
    "dramatiq Retry": "^not yet$",
    "Retry": "^not yet$",
    "RateLimitExceeded": "^RateLimitExceeded: too fast$",
    "BaseException": "^DirectError: direct$",
    "SystemExit": "^SystemExit: 3$",
    "KeyboardInterrupt": "^KeyboardInterrupt",
    "GeneratorExit": "^GeneratorExit",
    "StopIteration": "StopIteration",
    "CancelledError": "^CancelledError",
    "ExceptionGroup": "^ExceptionGroup: two .*ValueError: one; KeyError: 'other'$",
    "BaseExceptionGroup": "^BaseExceptionGroup: two .*DirectError: one; SystemExit: 3$",
    "unpicklable": "^UnpicklableError: keep it$",
    "__str__ raises": r"^UnspeakableError: \(its text cannot be made: RuntimeError\)$",
    "__str__ gives no text": r"^UntextualError: \(its text cannot be made: TypeError\)$",
    "50 MB of text": r"^ValueError: x{7000,} … \(cut\)$",
    "control characters": "^ValueError: \\[31mred\ufffd \u202eback\\?$",
    "its own cause": "^ValueError: first$",
    "RecursionError": "^RecursionError: maximum recursion depth exceeded",
    "MemoryError": "^MemoryError",
    "an object that is not an exception": "^TypeError: exceptions must derive from BaseException$",
}


def _exceptions() -> Iterator[End]:
    group = "raises"
    for actor in ("raises", "raises_async"):
        for exception, error in _ERRORS.items():
            yield _fails_twice(group, exception, actor, {"exception": exception}, error)
        for exception in ("Fail", "a Fail in a group"):
            yield _fails_at_once(group, exception, actor, {"exception": exception}, "there is no point")
    for exception in ("ValueError", "SystemExit", "RateLimitExceeded"):
        yield _fails_twice(group, exception, "plain_raises", {"kwargs": {"exception": exception}}, _ERRORS[exception])
    yield _fails_at_once(group, "an exception that its option `throws` names", "expects", {}, "^KeyError: 'expected'$")
    yield _fails_at_once(
        group, "by `.send()` of a message that cannot be a job", "sends_an_object", {}, "not JSON serializable|no JSON"
    )
    yield _fails_at_once(group, "nothing: its payload is not a call", "plain_raises", {"args": 7}, "^bad payload: ")
    yield _fails_twice(group, "by a call with a wrong argument", "plain_raises", {"kwargs": {"x": 1}}, "^TypeError: ")


def _hooks() -> Iterator[End]:
    group = "middleware"
    for actor in ("hooked", "hooked_async"):
        yield _called_off(
            group,
            "skips in before_process_message",
            actor,
            {"hooks": {"before_process_message": "skips"}},
            "^skipped by Unruly: not today$",
        )
        yield _fails_twice(
            group,
            "exits in before_process_message",
            actor,
            {"hooks": {"before_process_message": "exits"}},
            "^SystemExit: 3$",
        )
        for hook in ("before_process_message", "after_process_message", "before_ack", "after_ack"):
            for deed in ("skips", "raises", "exits"):
                if hook != "before_process_message" or deed == "raises":
                    yield _completes(group, f"{deed} in {hook}", actor, {"hooks": {hook: deed}}, {"done": True})
        yield _called_off(
            group,
            "skips, and raises in after_skip_message",
            actor,
            {"hooks": {"before_process_message": "skips", "after_skip_message": "raises"}},
            "^skipped by Unruly: not today$",
        )
        for hook in ("before_nack", "after_nack"):
            for deed in ("raises", "exits"):
                yield _fails_twice(
                    group, f"{deed} in {hook}", actor, {"fail": True, "hooks": {hook: deed}}, "^ValueError: a reason$"
                )
        yield _fails_at_once(
            group,
            "calls message.fail()",
            actor,
            {"hooks": {"after_process_message": "fails"}},
            "^marked as failed by a middleware$",
        )
    for actor in ("skips_itself", "skips_itself_async"):
        yield _called_off(group, "SkipMessage by the actor itself", actor, {}, "^skipped by its actor: not today$")


def _interrupts() -> Iterator[End]:
    group = "is interrupted"
    for kind in ("", "_async"):
        for name, actor in (("cancelled", "waits"), ("cancelled, and cleans up for a second", "cleans_up_slowly")):
            yield _called_off(group, name, f"{actor}{kind}", {}, _BY_WHOM, log=(HANDED_BACK,), is_cancelled=True)
        yield _fails_twice(group, "time limit", f"waits_too_long{kind}", {}, "^the time limit was exceeded$")
    yield _completes(
        group, "cancelled, and returns nevertheless", "swallows_and_returns", {}, {"done": True}, is_cancelled=True
    )
    for actor in ("waits_at_first", "waits_at_first_async"):
        ledger = ("released", "completed")
        yield End(
            group, "its worker stops", actor, {}, "completed", ledger, None, (HANDED_BACK, COMPLETED),
            is_stopped=True, ends_process=True,
        )  # fmt: skip
    for name, actor in (
        ("cancelled, and does not react", "does_not_react"),
        ("cancelled, and does not react", "does_not_react_async"),
    ):
        yield _called_off(
            group,
            name,
            actor,
            {},
            _BY_WHOM,
            log=("error: An actor cannot be interrupted: its worker process ends",),
            is_cancelled=True,
            ends_process=True,
        )
    for name, actor in (
        ("time limit, in a call that no exception ends", "sits_in_a_call"),
        ("time limit, and blocks the event loop", "blocks_the_loop"),
    ):
        yield _fails_twice(
            group, name, actor, {}, "^the time limit was exceeded, and no exception ended the actor", ends_process=True
        )


def _process() -> Iterator[End]:
    group = "its process"
    crashed = ("crashed", "crashed")
    for deed in ("os._exit(0)", "os._exit(9)", "os.abort()", "segmentation fault", "SIGKILL", "SIGUSR1", "SIGALRM"):
        yield End(group, deed, "does", {"deed": deed}, "failed", crashed, "lost", (), ends_process=True)
    for deed in ("SIGTERM", "SIGHUP", "SIGINT"):
        yield _completes(group, deed, "does", {"deed": deed}, {"done": True}, ends_process=deed != "SIGINT")
    for deed in (
        "SIGPIPE",
        "SIGCHLD",
        "reconfigures logging",
        "shuts logging down",
        "closes its output",
        "recursion limit",
        "socket time-out",
        "closes all connections",
        "fork",
        "fork in C",
    ):
        yield _completes(group, deed, "does", {"deed": deed}, {"done": True})
    yield _completes(group, "fork", "forks_async", {}, {"done": True})
    for copy, code in (("raises", 1), ("exits", 3)):
        name = f"fork, and the copy {copy}"
        yield _completes(group, name, "waits_for_its_fork", {"copy": copy}, {"code": code})
    yield _fails_twice(group, "memory limit", "does", {"deed": "memory limit"}, "^MemoryError")
    yield _fails_twice(
        group, "SystemExit raised in its thread from outside", "does", {"deed": "loses its thread"}, "^SystemExit"
    )
    yield _completes(group, "stops the event loop", "stops_the_loop", {}, {"done": True})
    yield _fails_twice(group, "closes the event loop", "closes_the_loop", {}, "event loop", ends_process=True)
