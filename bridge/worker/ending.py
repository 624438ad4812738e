"""How a run ended, on its way from the actor's thread to the report in Postgres."""

from contextvars import Context
from dataclasses import dataclass

from bridge.job import Report
from bridge.postgres.attempts import AttemptKey
from bridge.worker.runs import Run


@dataclass(slots=True, eq=False)  # nobody changes one; frozen, it would take three times as long to make
class Ending:
    """How a run ended. `exception` is for the log, and is logged in `context`; its text is in the report.

    `first` is the report as it was before Postgres refused it and a simpler one replaced it.
    """

    key: AttemptKey
    report: Report
    run: Run | None = None
    exception: BaseException | None = None
    context: Context | None = None
    first: Report | None = None
