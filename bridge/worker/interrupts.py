"""How an actor's thread is interrupted, and for which reasons.

The exception is raised wherever the thread is at that moment. So a run is interrupted by `Runs.interrupt` only
(runs.py), while its thread is between `Runs.enter` and `Runs.leave`, which interrupt_guard.py calls around the actor.
"""

from ctypes import c_ulong, py_object, pythonapi
from threading import get_ident

from dramatiq.middleware import Interrupt, raise_thread_exception

_set_exception = pythonapi.PyThreadState_SetAsyncExc


class LeaseLostError(Interrupt):
    """The attempt is another worker's now, or is over: its result no longer counts."""


class LeaseOverError(Interrupt):
    """This process may have been declared lost before the actor began; if it was not, the job is handed back."""


class JobCancelledError(Interrupt):
    """An operator cancelled the job."""


class WorkerStoppingError(Interrupt):
    """The worker process must stop before the job could end; the job is handed back."""


class _ClearedError(BaseException):
    """Takes the place of an interrupt that comes too late."""


_CLEARED = py_object(_ClearedError)


def interrupt_thread(thread: int, reason: type[Interrupt]) -> None:
    """Raise `reason` in the thread of this ident, at its next step in Python code: not while a system call lasts."""
    raise_thread_exception(thread, reason)


def clear_interrupt() -> None:
    """Cancel an interrupt that the calling thread has not received yet. This call itself may still raise it.

    Another one takes its place, and is received here. With none in its place Python would go on to look for one at each
    step of every thread; and in Python 3.11 a thread that is traced or profiled, as by a debugger, would look for ever.
    """
    try:
        _set_exception(c_ulong(get_ident()), _CLEARED)
        while True:  # it is received at the next step
            pass
    except _ClearedError:
        return
