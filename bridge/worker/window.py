"""Where an actor may be interrupted: within its own call, and nowhere else.

Around the call Dramatiq's thread does Dramatiq's work and ours. An interrupt there would end the thread.
"""

import functools
import os
import threading
from collections.abc import Callable
from typing import Any

from dramatiq import Actor, Broker, Middleware
from dramatiq.broker import MessageProxy
from dramatiq.middleware import SkipMessage

from bridge.worker.manners import end_in_copy_of
from bridge.worker.runs import Run, Runs


class _Here(threading.local):
    run: Run | None = None  # this thread's, from the last hook before the actor until its call


class ActorWindow(Middleware):
    """Stands last. Opened by the call of an actor that runs for a message, and by no call in another actor's code."""

    def __init__(self, runs: Callable[[], Runs]) -> None:
        self._runs = runs
        self._here = _Here()

    def before_declare_actor(self, broker: Broker, actor: "Actor[Any, Any]") -> None:
        actor.fn = self._windowed(actor.fn)

    def _windowed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            run = self._here.run
            if run is None:
                return function(*args, **kwargs)
            self._here.run = None
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
                end_in_copy_of(process)
                runs.leave(run)

        return call

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        self._here.run = getattr(message, "run", None)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        self._here.run = None
        run: Run | None = getattr(message, "run", None)
        if run is not None and run.ended is None:  # the call was not reached, or an interrupt came on its last step
            self._runs().leave(run)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        self.after_process_message(broker, message)
