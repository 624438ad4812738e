"""The page of settings: of this browser, and in effect; what to connect, and what operators did."""

import io
import logging
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, abort, g, render_template, request, send_file

from bridge.errors import BridgeError
from bridge.settings.shown import origins, shown_settings
from bridge.support.bundle import bundle_name, make_bundle
from bridge.web.access.roles import Role
from bridge.web.services import Services

logger = logging.getLogger(__name__)

_AUDIT_SHOWN = 100  # of the latest entries: some screens


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("settings", __name__, url_prefix="/settings")
    shown, come_from = shown_settings(services.settings), origins(services.settings)

    @pages.get("/support-bundle")
    def support_bundle() -> Response:
        if g.role is not Role.ADMIN:
            abort(HTTPStatus.FORBIDDEN, "The support bundle is for administrators.")
        bundle = io.BytesIO(
            make_bundle(services.settings, services.pool.call, lambda: [services.readiness.get().checks])
        )
        answer = send_file(bundle, mimetype="application/zip", as_attachment=True, download_name=bundle_name())
        answer.headers["Cache-Control"] = "no-store"  # Flask lets a browser keep files
        return answer

    @pages.get("")
    def index() -> str:
        # Those in effect name hosts and roles.
        in_effect = shown.items() if g.role is Role.ADMIN else ()
        return render_template(
            "settings.html",
            settings=[(name, value, come_from.get(name, "")) for name, value in in_effect],
            checks=services.readiness.get().checks,
            audit=_audit(services),
            host=request.host,
        )

    return pages


def _audit(services: Services) -> list[dict[str, Any]] | None:
    """None: it cannot be read now. The page is there all the same, as it says what is wrong with the stores."""
    try:
        return services.pool.call("list_audit", {"limit": _AUDIT_SHOWN})
    except BridgeError as error:
        logger.warning("The audit trail cannot be read: %s", error)
        return None
