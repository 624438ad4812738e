"""The page of dead letters: failed jobs, those with alike errors together."""

from http import HTTPStatus

from flask import Blueprint, abort, render_template, request

from bridge.job import Status
from bridge.postgres.bulk import actions_for
from bridge.postgres.job_filter import FilterError, parse_filter
from bridge.web.services import Services

_GROUPS_SHOWN = 200  # some screens
_JOBS_COUNTED = 50_000  # of all groups together: reading them takes less than a tenth of a second
_ERROR_SHOWN = 300  # characters: some lines


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("dead", __name__, url_prefix="/dead")

    @pages.get("")
    def index() -> str:
        after = _behind(request.args.get("after"))
        asked = {"after": after, "groups": _GROUPS_SHOWN, "jobs": _JOBS_COUNTED, "error_most": _ERROR_SHOWN}
        found = services.pool.call("dead_letters", asked)
        counted = sum(group["jobs"] for group in found)
        is_full = len(found) == _GROUPS_SHOWN or counted >= _JOBS_COUNTED
        return render_template(
            "dead.html",
            groups=sorted(found, key=lambda group: group["jobs"], reverse=True),
            actions=actions_for(Status.FAILED),
            counted=counted,
            next=found[-1]["fingerprint"] if is_full else None,
            is_first=after is None,
        )

    return pages


def _behind(fingerprint: str | None) -> str | None:
    """Behind which group the page begins."""
    if fingerprint is None:
        return None
    try:
        return parse_filter(f"fingerprint:{fingerprint}").fingerprint
    except FilterError:
        abort(HTTPStatus.BAD_REQUEST)
