"""A middleware that does in each hook what the job's payload says, such as `{"hooks": {"before_ack": "raises"}}`."""

from typing import Any

from dramatiq import Broker, Middleware
from dramatiq.broker import MessageProxy
from dramatiq.middleware import SkipMessage

from bridge import current_job


class UnrulyError(Exception):
    """Raised by a hook."""


class Unruly(Middleware):
    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        _do("before_process_message", message)

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        _do("after_process_message", message)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        _do("after_skip_message", message)

    def before_ack(self, broker: Broker, message: MessageProxy) -> None:
        _do("before_ack", message)

    def after_ack(self, broker: Broker, message: MessageProxy) -> None:
        _do("after_ack", message)

    def before_nack(self, broker: Broker, message: MessageProxy) -> None:
        _do("before_nack", message)

    def after_nack(self, broker: Broker, message: MessageProxy) -> None:
        _do("after_nack", message)


def _do(hook: str, message: MessageProxy) -> None:
    for deed in _deeds(message).get(hook, "").split():
        match deed:
            case "skips":
                raise SkipMessage("not today")
            case "raises":
                raise UnrulyError("an unruly hook")
            case "exits":
                raise SystemExit(3)
            case "fails":
                message.fail()
            case _:
                raise AssertionError(deed)


def _deeds(message: MessageProxy) -> dict[str, str]:
    """What the payload says for each hook. It is kept: the hooks around the acknowledgement run after the job."""
    kept: dict[str, str] | None = message.__dict__.get("deeds")
    if kept is None:
        try:
            kept = current_job().payload.get("hooks", {})
        except RuntimeError:  # no job of ours
            kept = {}
        message.__dict__["deeds"] = kept
    return kept
