"""GET /sessions/<id>/archive: the files of a session, for its user and for administrators of the dashboard."""

import logging
import threading
from collections.abc import Iterator
from http import HTTPStatus
from uuid import UUID

from flask import Blueprint, Response, abort, current_app, request, session
from flask.typing import ResponseReturnValue

from bridge.postgres.bundles import PostgresBundles
from bridge.snapshots.download import Download, NothingSavedError
from bridge.snapshots.git import GitError
from bridge.web.access.guard import port_of
from bridge.web.access.roles import Access, Role
from bridge.web.services import Services
from bridge.web.session_api import user_of_request
from bridge.web.start_request import RequestError

logger = logging.getLogger(__name__)

_AT_ONCE = 2  # downloads of a process: each takes a thread, a core and disk
_RETRY_SECONDS = 10  # for who is turned away: a download takes seconds


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("session_archive", __name__)
    places = threading.BoundedSemaphore(_AT_ONCE)

    @pages.get("/sessions/<uuid:session_id>/archive")
    def archive(session_id: UUID) -> ResponseReturnValue:
        _check_visitor(services, session_id)
        if not places.acquire(blocking=False):
            return _text("Too many downloads, try again later", HTTPStatus.SERVICE_UNAVAILABLE, str(_RETRY_SECONDS))
        try:
            download = Download(PostgresBundles(services.pool.call), session_id)
        except NothingSavedError as error:
            places.release()
            return _text(str(error), HTTPStatus.NOT_FOUND)
        except GitError as error:
            places.release()
            logger.error("Archive of session %s: %s", session_id, error)
            return _text(str(error), HTTPStatus.SERVICE_UNAVAILABLE)
        except BaseException:
            places.release()
            raise
        answer = Response(_Pieces(download, places), mimetype="application/gzip")
        answer.headers["Content-Disposition"] = f"attachment; filename={download.name}.tar.gz"
        return answer

    return pages


class _Pieces:
    """Frees what a download holds when the server closes it, whether it was read to its end or not."""

    def __init__(self, download: Download, places: threading.BoundedSemaphore) -> None:
        self._download = download
        self._places = places

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._download)

    def close(self) -> None:
        self._download.close()
        self._places.release()


def _check_visitor(services: Services, session_id: UUID) -> None:
    """Answer with an error unless this is an administrator, or the session's user by a token."""
    access: Access = current_app.extensions["access"]
    role = access.role(session, request.headers.get("Authorization"), request.host, port_of(request))
    if role is Role.READER:
        abort(403, "Files of sessions may hold secrets: this needs the role admin.")
    try:
        user = None if role is Role.ADMIN else user_of_request(services)
    except RequestError as error:
        abort(error.status, str(error))
    owners = services.pool.call("session_owner", {"session": session_id})
    # The same answer for an unknown session and another user's: an answer must not confirm that one exists.
    if not owners or user not in (None, owners[0]["user_id"]):
        abort(HTTPStatus.NOT_FOUND, "Session not found or access denied")


def _text(text: str, status: int, retry_after: str | None = None) -> Response:
    return Response(f"{text}\n", status, {"Retry-After": retry_after} if retry_after else {}, mimetype="text/plain")
