"""What the pages and the API show of jobs.

With HIDE_PROMPTS nothing that users wrote, and nothing that was made of it.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from bridge.postgres.job_filter import FilterError, JobFilter, parse_filter
from bridge.postgres.job_list import Page, Place, list_jobs, parse_place
from bridge.postgres.older_schema import unless_missing
from bridge.postgres.queue_pauses import Pause, find_pauses
from bridge.web.services import Services

CUT = 300  # characters of a prompt or an error in a list: some lines
EXPORT_MOST = 10_000  # jobs of a file: what a person looks through in a spreadsheet; some twenty short queries
_EXPORT_PAGE = 500  # jobs of one query: some hundred milliseconds at the most, and some hundred kilobytes
_EXPORT_CUT = 2_000  # characters of a prompt or an error in a file
_ERROR_MOST = 20_000  # characters of an error of one job: the longest traceback of an actor
_AUDIT_SHOWN = 50  # the newest ones: nobody acts on one job so often
_EVENTS_SHOWN = 200  # the newest ones: what a person reads; the stream has them all
_HIDDEN = {"prompt", "payload", "result"}


class ShownJobs:
    def __init__(self, services: Services) -> None:
        self._call = services.pool.call
        self.hides_prompts = services.settings.hide_prompts

    def meant(self, written: str) -> JobFilter:
        """The filter that is written. Raises FilterError."""
        meant = parse_filter(written)
        if self.hides_prompts and meant.text is not None:
            # Who may not read prompts must not find out what is in them by searching, either.
            raise FilterError("Prompts are hidden (HIDE_PROMPTS) and not searched: search the errors with error:…")
        return meant

    def search(self, written: str, *, limit: int, after: str | None) -> tuple[JobFilter, Page]:
        """The jobs that a filter means, `limit` of them behind the place `after`. Raises FilterError, PageError."""
        meant = self.meant(written)
        return meant, self._page(meant, parse_place(after) if after is not None else None, limit, CUT)

    def export(self, written: str) -> Iterator[dict[str, Any]]:
        """The jobs that a filter means, up to EXPORT_MOST. The first page is read now, others as they are asked for.

        Raises FilterError.
        """
        meant = self.meant(written)
        return self._follow(meant, self._page(meant, None, _EXPORT_PAGE, _EXPORT_CUT))

    def _follow(self, meant: JobFilter, page: Page) -> Iterator[dict[str, Any]]:
        yield from page.jobs
        for _ in range(_EXPORT_PAGE, EXPORT_MOST, _EXPORT_PAGE):
            if page.next is None:
                return
            page = self._page(meant, page.next, _EXPORT_PAGE, _EXPORT_CUT)
            yield from page.jobs

    def _page(self, meant: JobFilter, after: Place | None, limit: int, cut: int) -> Page:
        page = list_jobs(self._call, meant, limit=limit, error_most=cut, after=after)
        return Page([self._without_hidden(job) for job in page.jobs], page.next, page.note)

    def job(self, job_id: UUID) -> dict[str, Any] | None:
        """Every column of one job; None if there is no such job."""
        found = self._call("show_job", {"id": job_id})
        return self._without_hidden(found[0]) if found else None

    def pause(self, queue: str) -> Pause | None:
        """The pause of a queue; None: it is not paused."""
        return find_pauses(self._call).get(queue)

    def audit(self, job_id: UUID) -> list[dict[str, Any]]:
        """What operators did to it, and which job it is a replay of; newest first."""
        return unless_missing(lambda: self._call("show_audit", {"id": job_id, "limit": _AUDIT_SHOWN})) or []

    def attempts(self, job_id: UUID) -> list[dict[str, Any]]:
        """Its ended attempts, oldest first."""
        return self._call("show_attempts", {"id": job_id, "error_most": _ERROR_MOST})

    def events(self, session_id: UUID) -> tuple[list[dict[str, Any]], int]:
        """The latest events of a session in their order, and the number behind which its stream goes on."""
        found = unless_missing(lambda: self._call("last_event_number", {"session": session_id})) or []
        if not found:  # none, or only such as an older version stored, without numbers
            return self._call("get_session_events", {"session": session_id, "limit": _EVENTS_SHOWN})[::-1], 0
        after = max(0, found[0]["last_seq"] - _EVENTS_SHOWN)
        asked = {"sessions": [session_id], "afters": [after], "limit": _EVENTS_SHOWN}
        events = self._call("follow_sessions", asked)
        return events, events[-1]["seq"] if events else after

    def _without_hidden(self, job: dict[str, Any]) -> dict[str, Any]:
        return job | dict.fromkeys(_HIDDEN & job.keys()) if self.hides_prompts else job
