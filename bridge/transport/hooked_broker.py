"""Dramatiq's RedisBroker, with hooks of middleware that cost little and end no thread."""

from collections.abc import Callable
from typing import Any

from dramatiq import Middleware
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Interrupt, MiddlewareError, SkipMessage

from bridge.transport.intake import UnseenMessageError

# Signals whose hooks decide nothing: what a hook raises must not end the thread, which serves other jobs too.
_SETTLED = frozenset(
    {
        *("ack", "nack", "skip_message"),
        *("worker_thread_boot", "worker_thread_shutdown", "consumer_thread_boot", "consumer_thread_shutdown"),
    }
)


class HookedBroker(RedisBroker):
    """Dramatiq calls every middleware at every signal. Here only those are called that define the hook.

    What a hook of _SETTLED raises is logged, SystemExit too: it would end the thread, and its slot with it.
    """

    def __init__(self, **options: Any) -> None:
        self._hooks: dict[str, list[Callable[..., None]]] = {}  # by name, in the order in which they are called
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        name = "before_" + signal
        for hook in self._hooks.get(name) or self._find_hooks(name):
            try:
                if kwargs:
                    hook(self, *args, **kwargs)
                elif len(args) == 1:  # for each job; Python calls faster what it need not unpack
                    hook(self, args[0])
                else:
                    hook(self, *args)
            except BaseException as error:
                if signal == "process_message" and isinstance(error, SkipMessage):
                    args[0].skipped = f"skipped by {_owner(hook)}", error
                is_decision = not isinstance(error, Exception) or isinstance(error, MiddlewareError)
                if isinstance(error, Interrupt) or (is_decision and signal not in _SETTLED):
                    raise
                self.logger.critical("Unexpected failure in %s of %r.", signal, hook, exc_info=True)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        if signal == "skip_message" and _is_unseen(args[0]):
            return
        name = "after_" + signal
        for hook in self._hooks.get(name) or self._find_hooks(name):
            try:
                hook(self, *args, **kwargs)
            except BaseException as error:
                is_failure = isinstance(error, Exception) or signal in _SETTLED | {"process_message"}
                if isinstance(error, Interrupt) or not is_failure:
                    raise
                self.logger.critical("Unexpected failure in %s of %r.", signal, hook, exc_info=True)

    def add_middleware(self, middleware: Middleware, **where: Any) -> None:
        super().add_middleware(middleware, **where)
        self._hooks.clear()

    def _find_hooks(self, name: str) -> list[Callable[..., None]]:
        hooks = self._hooks.get(name)  # none, perhaps
        if hooks is None:
            nothing = getattr(Middleware, name, None)
            hooks = [getattr(one, name) for one in self.middleware if getattr(type(one), name, nothing) is not nothing]
            self._hooks[name] = hooks = hooks[::-1] if name.startswith("after_") else hooks
        return hooks


def _is_unseen(message: MessageProxy) -> bool:
    _, reason = getattr(message, "skipped", None) or ("", None)
    return isinstance(reason, UnseenMessageError)


def _owner(hook: Callable[..., None]) -> str:
    return type(getattr(hook, "__self__", hook)).__name__
