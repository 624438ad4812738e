"""The pages joined to one app."""

from flask import Flask, Response

from bridge.settings import Settings
from bridge.web import (
    bulk,
    dead,
    error_answers,
    export,
    index,
    jobs,
    live,
    metrics,
    queues,
    readyz,
    replay,
    sample_jobs,
    session_archive,
    session_pages,
    session_turns,
    sessions,
    stats,
    template_filters,
    workers,
)
from bridge.web import settings as settings_page
from bridge.web.access import guard, login
from bridge.web.access.client_address import TrustedProxies
from bridge.web.access.roles import Access
from bridge.web.answers import SECURITY_HEADERS
from bridge.web.api import bulk as api_bulk
from bridge.web.api import history as api_history
from bridge.web.api import jobs as api_jobs
from bridge.web.api import queues as api_queues
from bridge.web.api import workers as api_workers
from bridge.web.services import Services
from bridge.web.whole_requests import MAX_BODY_BYTES


def create_app(settings: Settings) -> Flask:
    """The web app. Opens no connection until the first request needs one."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES  # for servers other than ours (asgi.py)
    app.url_map.merge_slashes = False  # `//health` is another path: answer 404, do not redirect
    app.json.sort_keys = False  # type: ignore[attr-defined]  # an attribute of Flask's default provider
    services = Services(settings)
    app.extensions["mobvibe"] = services
    access = Access(settings)
    guard.install(app, access, settings.path_prefix)
    for blueprint in (
        readyz.blueprint(services),
        metrics.blueprint(services),
        stats.blueprint(services),
        sessions.blueprint(services),
        session_archive.blueprint(services),
        session_turns.blueprint(services),
        index.blueprint(services),
        live.blueprint(services),
        sample_jobs.blueprint(services),
        jobs.blueprint(services),
        session_pages.blueprint(services),
        export.blueprint(services),
        replay.blueprint(services),
        bulk.blueprint(services),
        dead.blueprint(services),
        queues.blueprint(services),
        workers.blueprint(services),
        settings_page.blueprint(services),
        api_jobs.blueprint(services),
        api_bulk.blueprint(services),
        api_queues.blueprint(services),
        api_history.blueprint(services),
        api_workers.blueprint(services),
        login.blueprint(access, TrustedProxies(settings.forwarded_allow_ips)),
    ):
        app.register_blueprint(blueprint)
    error_answers.install(app)
    template_filters.install(app)
    app.after_request(_secure)
    return app


def _secure(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")  # a proxy's copy would show old figures as new ones
    return response
