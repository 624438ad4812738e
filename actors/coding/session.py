"""The actor `run_coding_session`: one turn of a coding session, in which an agent works on the user's project."""

import logging
from datetime import timedelta
from typing import Any

import dramatiq

from bridge import Job, Release, actor
from bridge.broker import connected_settings
from bridge.errors import SettingsError, StoreUnavailableError

logger = logging.getLogger(__name__)

OUTSIDE = {"docker", "fly"}  # providers, as in SANDBOX, whose sandboxes are not this machine's


def run_coding_session(job: Job) -> dict[str, Any]:
    """Run the turn that this job is. The result says how it ended: `success` and `message`, or that it `asked`."""
    # Imported here: a worker that runs no session does without the memory that they take.
    from actors.coding.agent.deltas import EventStream  # noqa: PLC0415
    from actors.coding.installation import installation  # noqa: PLC0415
    from actors.coding.sweeping import sweep_beside  # noqa: PLC0415
    from actors.coding.turn import SessionTurn  # noqa: PLC0415
    from bridge.sessions import open_record  # noqa: PLC0415

    here = installation()
    record = open_record(job)
    if record.has_ended:
        return {"turn": record.number}
    with EventStream(job.emit, job.flush, here.new_redactor, flush_seconds=here.flush_seconds) as events:
        try:
            result = SessionTurn(job, record, here, events).run()
        except Release:
            raise
        except Exception as error:
            events.emit("error", {"turn": record.number, "message": str(error)})
            raise
    sweep_beside(here)
    if here.provider.name in OUTSIDE:  # they cost while nobody uses them
        _sweep_after(here.sandbox_idle)
    return result


def sweep_sandboxes(job: Job) -> dict[str, Any]:  # noqa: ARG001 -- an actor's signature
    """Stop and remove the sandboxes that no session wants. Sent after each turn, for when its sandbox is idle."""
    from actors.coding.installation import installation  # noqa: PLC0415
    from actors.coding.sweeping import sweep_now  # noqa: PLC0415

    return {"swept": sweep_now(installation())}


def _sweep_after(idle: timedelta) -> None:
    delay = idle + timedelta(seconds=1)  # it is not idle before
    try:
        dramatiq.get_broker().get_actor("sweep_sandboxes").send_with_options(delay=int(delay.total_seconds() * 1000))
    except StoreUnavailableError as error:
        logger.warning("No sweep of sandboxes was sent after the turn; the next turn sends one: %s", error)


def register() -> None:
    """Declare the actor, unless production lacks an agent or a sandbox: then its jobs wait until a worker has both."""
    settings = connected_settings()
    if settings.is_production and (missing := _missing()):
        logger.warning("run_coding_session is not registered, and its jobs wait: %s", missing)
        return
    if settings.sandbox in OUTSIDE:
        actor(queue_name="coding", max_retries=3)(sweep_sandboxes)
    # Without a time limit of Dramatiq: TURN_TIMEOUT_MS ends a turn between two steps, where it can say so.
    actor(queue_name="coding", max_retries=3, time_limit=float("inf"))(run_coding_session)


def _missing() -> str | None:
    """What this worker lacks to run sessions, and what to change."""
    # Imported here, as above: development looks when the first session runs.
    from actors.coding.agent.choosing import choose_agent  # noqa: PLC0415
    from actors.coding.sandbox.base import SandboxSetupError  # noqa: PLC0415
    from actors.coding.sandbox.configured import provider_of  # noqa: PLC0415

    try:
        choose_agent(connected_settings())
        provider_of(connected_settings())
    except (SettingsError, SandboxSetupError) as error:
        return str(error)
    return None


register()
