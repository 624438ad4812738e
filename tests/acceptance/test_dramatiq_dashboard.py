"""dramatiq_dashboard as its recipe sets it up: it shows the queues, and its buttons harm no job."""

import os
import re
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from bridge.dev.embedded.server import pick_port
from tests.acceptance.processes import Fleet, Process
from tests.support.failover_loop import patient_client
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.waiting import eventually

RECIPE = Path(__file__).parents[2] / "deploy" / "dramatiq-dashboard"
BIN = Path(sys.prefix) / "dramatiq-dashboard" / "bin"
JOBS = 12


class Dashboard:
    """Asks for its pages, and presses its buttons as a browser does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookie = ""

    def page(self, path: str, form: dict[str, str] | None = None) -> str:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        headers = {"Cookie": self._cookie, "Content-Type": "application/x-www-form-urlencoded"}
        body = None if form is None else urlencode(form)
        connection.request("GET" if form is None else "POST", f"/drama{path}", body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status in (200, 302), text
        self._cookie = (answer.getheader("Set-Cookie") or self._cookie).partition(";")[0]
        connection.close()
        return text

    def messages(self, queue: str) -> list[str]:
        return sorted(set(re.findall(f"/drama/queues/{queue}/standard/([0-9a-f:-]+)", self.page(f"/queues/{queue}"))))

    def press(self, button: str, queue: str, message: str) -> None:
        page = self.page(f"/queues/{queue}/standard/{message}")
        token = re.search('name="__dd_csrf" value="([^"]+)"', page)
        assert token, page
        self.page(f"/{button}", {"__dd_csrf": token[1], "queue": queue, "id": message})


@pytest.fixture
def dashboard(outside: Fleet, redis_url: str) -> Iterator[Dashboard]:
    if not BIN.exists():
        needs = "needs dramatiq_dashboard: run scripts/install-dramatiq-dashboard.sh"
        if os.environ.get("DRAMATIQ_DASHBOARD") == "required":
            pytest.fail(needs)
        pytest.skip(needs)
    port = pick_port()
    log = outside.project.parent / "dashboard.log"
    command = [str(BIN / "waitress-serve"), f"--listen=127.0.0.1:{port}", "app:app"]
    process = Process(
        command, RECIPE, {"REDIS_URL": redis_url, "QUEUES": "topic,coding", "PYTHONDONTWRITEBYTECODE": "1"}, log
    )
    try:
        process.wait_for("Serving on")
        yield Dashboard(port)
    finally:
        process.end()


def test_its_buttons_neither_lose_nor_double_a_job(
    dashboard: Dashboard, outside: Fleet, rows: Rows, redis_url: str, tmp_path: Path
) -> None:
    outside.bridge()
    outside.worker(threads=2)
    written, gate = tmp_path / "written", tmp_path / "gate"
    for _ in range(JOBS):
        rows.add_job(actor="write_line_and_wait", queue="topic", payload={"file": str(written), "gate": str(gate)})
    client = patient_client(redis_url)
    eventually(lambda: client.hlen("mobvibe:topic.msgs") > 1, what="messages that wait in Redis")

    assert "topic" in dashboard.page("/")
    found = dashboard.messages("topic")
    for button, message in zip(("requeue-message", "delete-message") * len(found), found, strict=False):
        dashboard.press(button, "topic", message)
    gate.touch()

    eventually(
        lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'") == JOBS,
        seconds=60,
        what="the end of all jobs",
    )
    assert len(found) >= 2
    runs = written.read_text().split("\n")[:-1]
    assert len(runs) == len({line.split()[0] for line in runs}) == JOBS
    check_invariants(rows)
