"""The page of settings: those of this browser, those in effect, what to connect, and what operators did."""

import logging
from http import HTTPStatus
from typing import Any

from flask import Blueprint, abort, g, render_template, request

from bridge.errors import BridgeError
from bridge.settings.shown import origins, shown_settings
from bridge.web.access.roles import Role
from bridge.web.services import Services

logger = logging.getLogger(__name__)

_AUDIT_SHOWN = 100  # of the latest entries: some screens


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("settings", __name__, url_prefix="/settings")
    shown, come_from = shown_settings(services.settings), origins(services.settings)

    @pages.get("")
    def index() -> str:
        if g.role is not Role.ADMIN:  # it names hosts and roles
            abort(HTTPStatus.FORBIDDEN, "Settings are for administrators.")
        return render_template(
            "settings.html",
            settings=[(name, value, come_from.get(name, "")) for name, value in shown.items()],
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
