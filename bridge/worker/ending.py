"""How a run ended, and in which plainer form that can be reported when Postgres refuses it."""

from contextvars import Context
from dataclasses import dataclass, replace

from bridge.errors import BridgeError
from bridge.job import Cancelled, Completed, Failed, Report
from bridge.postgres.attempts import AttemptKey
from bridge.worker.runs import Run

_REFUSED = "failed, and the database would not store why"


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """How a run ended. `exception` is for the log, and is logged in `context`; its text is in the report.

    `first` is the report as it was before Postgres refused it and a plainer one took its place.
    """

    key: AttemptKey
    report: Report
    run: Run | None = None
    exception: BaseException | None = None
    context: Context | None = None
    first: Report | None = None

    def plainer(self, error: BridgeError) -> "Ending | None":
        """A result that cannot be stored makes a failure; a failure that cannot be stored loses its text. Or None."""
        match self.report:
            case Completed():
                report = Failed(f"the result could not be stored: {error}")
            case Failed() as failed if failed != (plain := Failed(_REFUSED, final=failed.final)):
                report = plain
            case Cancelled():
                report = Failed(_REFUSED, final=True)
            case _:
                return None
        return replace(self, report=report, first=self.first or self.report)

    def as_at_first(self) -> "Ending":
        return replace(self, report=self.first or self.report, first=None)
