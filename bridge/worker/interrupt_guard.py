"""Where an actor may be interrupted: within its own call, and nowhere else.

Before and after the call the thread does Dramatiq's work and ours. An interrupt there would end the thread.
"""

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

from dramatiq import Actor, Broker, Middleware
from dramatiq.broker import MessageProxy
from dramatiq.middleware import SkipMessage

from bridge.worker.forks import end_in_copy_of
from bridge.worker.runs import Run, Runs


class _Thread(threading.local):
    run: Run | None = None  # from the last hook before the actor until its call


class InterruptGuard(Middleware):
    """The last middleware. It allows interrupts during the call of an actor that runs for a message.

    A call of an actor in another actor's code is a plain call.
    """

    def __init__(self, runs: Callable[[], Runs]) -> None:
        self._runs = runs
        self._thread = _Thread()

    def before_declare_actor(self, broker: Broker, actor: "Actor[Any, Any]") -> None:
        actor.fn = self._guarded(actor.fn)

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            run = self._thread.run
            if run is None:
                return function(*args, **kwargs)
            self._thread.run = None
            runs = self._runs()
            process = os.getpid()
            try:
                runs.enter(run)
                return function(*args, **kwargs)
            except SkipMessage as skip:
                run.skipped = "skipped by its actor", skip
                raise
            except BaseException as error:
                run.raised_at = error.__traceback__
                raise
            finally:
                if os.getpid() != process:
                    end_in_copy_of(process)
                runs.leave(run)

        return call

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        self._thread.run = getattr(message, "run", None)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        self._thread.run = None
        run: Run | None = getattr(message, "run", None)
        if run is not None and run.ended is None:  # the call was not reached, or an interrupt came on its last step
            self._runs().leave(run)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        self.after_process_message(broker, message)
