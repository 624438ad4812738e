"""Makes the support bundle: a zip of JSON files, one for each part. A part that cannot be had says why."""

import io
import json
import platform
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from bridge.errors import BridgeError
from bridge.postgres.job_list import Call
from bridge.postgres.queue_pauses import find_pauses
from bridge.settings import Settings
from bridge.settings.shown import origins, shown_settings
from bridge.support.redaction import Redaction

_PACKAGES = ("mobvibe-bridge", "dramatiq", "redis", "psycopg", "flask", "pydantic")
_GROUPS_MOST, _JOBS_COUNTED = (
    100,
    50_000,
)  # of dead letters: the page shows no more, and reads them in a tenth of a second
# Of an error, as Python writes it before its text. Without such an ending it could be the text, too.
_KIND = re.compile(r"[A-Za-z_][\w.]{0,99}(?:Error|Exception)(?=:|$)")


def bundle_name() -> str:
    return f"mobvibe-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip"


def make_bundle(settings: Settings, call: Call, checks: Callable[[], Iterable[Mapping[str, Any]]]) -> bytes:
    """The bytes of the zip. `checks` are what the caller finds of the stores: the doctor's findings, or the probes'.

    Left out are secrets, and all texts of users and operators: prompts, payloads, results, events, errors, reasons.
    """
    parts: dict[str, Callable[[], Any]] = {
        "versions": lambda: _versions(call),
        "settings": lambda: {"values": shown_settings(settings), "origins": origins(settings)},
        "checks": lambda: list(checks()),
        "queues": lambda: _queues(call),
        "workers": lambda: call("list_workers", {}),
        "errors": lambda: _errors(call),
    }
    redaction = Redaction(settings)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, part in parts.items():
            text = json.dumps(redaction.apply(_plain(_or_why(part))), indent=1, ensure_ascii=False)
            bundle.writestr(f"{name}.json", text + "\n")
    return packed.getvalue()


def _or_why(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except BridgeError as error:
        return {"unavailable": str(error)}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _versions(call: Call) -> dict[str, Any]:
    installed = {"made_at": datetime.now(UTC), "python": platform.python_version(), "platform": platform.platform()}
    installed |= {name: version(name) for name in _PACKAGES}
    return installed | {
        "database": _or_why(lambda: call("server_facts", {})[0] | call("mobvibe_schema_version", {})[0])
    }


def _queues(call: Call) -> dict[str, Any]:
    return {
        "counts": call("queue_counts", {}),
        "paused": {
            queue: pause.paused_at for queue, pause in find_pauses(call).items()
        },  # the reason is a person's text
        "workers": call("worker_counts", {})[0],
    }


def _errors(call: Call) -> list[dict[str, Any]]:
    """The groups of dead letters, of whose errors only the kind is told: their texts may quote what users wrote."""
    asked = {"after": None, "groups": _GROUPS_MOST, "jobs": _JOBS_COUNTED, "error_most": 200}
    groups = call("dead_letters", asked)
    return [
        {name: value for name, value in group.items() if name != "error"} | {"kind": _kind(group["error"])}
        for group in groups
    ]


def _kind(error: str | None) -> str | None:
    found = _KIND.match(error or "")
    return found[0] if found else None
