"""The jobs of a search as a file: CSV for a spreadsheet, or a JSON object in each line for a program."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request

from bridge.postgres.job_filter import FilterError
from bridge.web.api.answers import plain
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs

_COLUMNS = ("id", "status", "actor", "queue", "priority", "retry_count", "max_retries", "created_at", "claimed_at",
            "started_at", "completed_at", "session_id", "error_message", "prompt")  # fmt: skip
# A spreadsheet takes a text that begins so for a formula, which may send what is in other cells to somebody.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("export", __name__)
    shown = ShownJobs(services)

    @pages.get("/jobs/export.<any(csv, jsonl):form>")
    def export(form: str) -> Response:
        try:
            jobs = shown.export(request.args.get("q", ""))
        except FilterError as error:
            return Response(f"{error}\n", HTTPStatus.BAD_REQUEST, mimetype="text/plain")
        lines, mimetype = (_csv(jobs), "text/csv") if form == "csv" else (_json_lines(jobs), "application/jsonl")
        answer = Response(lines, mimetype=mimetype)
        answer.headers["Content-Disposition"] = f"attachment; filename=jobs.{form}"
        return answer

    return pages


def _csv(jobs: Iterable[dict[str, Any]]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(_COLUMNS)
    for job in jobs:
        writer.writerow([_cell(job[name]) for name in _COLUMNS])
        yield _taken(line)
    yield _taken(line)  # the names, where there is no job


def _cell(value: Any) -> Any:
    value = plain(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _taken(line: io.StringIO) -> str:
    text = line.getvalue()
    line.seek(0)
    line.truncate()
    return text


def _json_lines(jobs: Iterable[dict[str, Any]]) -> Iterator[str]:
    for job in jobs:
        yield json.dumps(plain({name: job[name] for name in _COLUMNS})) + "\n"
