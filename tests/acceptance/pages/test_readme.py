"""All commands of README.md, in their order, in a fresh copy of the repository."""

import json
import os
import re
import shlex
import sys
from pathlib import Path
from uuid import UUID

import pytest

from bridge.dev.embedded.server import pick_port
from tests.acceptance.pages.conftest import ROOT, NewReader
from tests.acceptance.pages.reader import SHELL
from tests.support.pages import blocks
from tests.support.rows import Rows
from tests.support.waiting import eventually

README = ROOT / "README.md"
# Commands that are not typed here, and where they run instead.
ELSEWHERE = {"make test": "all of this is `make test`: .ci/run starts it"}


@pytest.mark.timeout(300)
def test_every_command_of_the_readme_runs(
    new_reader: NewReader, checkout: Path, dsn: str, redis_url: str, rows: Rows
) -> None:
    (checkout / ".venv").symlink_to(sys.prefix)
    reader = new_reader(
        checkout,
        environment={"PORT": str(pick_port())},
        left_out=frozenset(ELSEWHERE),
        known={
            "postgresql://user:password@host:5432/name": shlex.quote(dsn),
            "redis://:password@host:6379/0": f"{redis_url} HEALTH_CHECK_PORT={pick_port()}",
        },
    )

    reader.follow(README)

    assert {"make run", "mobvibe doctor", "mobvibe migrate up", "honcho start"} <= {
        re.sub(r"\s+# .*", "", line) for line in reader.typed
    }
    assert reader.skipped == list(ELSEWHERE)
    # The actor of the page, started by the last command of the page, against the stores of one's own.
    sent = reader.run("mobvibe jobs send --actor build_report --payload '{\"rows\": 7}'")
    eventually(lambda: rows.job(UUID(sent.strip()))["status"] == "completed", seconds=60, what="the end of the job")
    assert rows.job(UUID(sent.strip()))["result"] == {"rows": 7}
    status = reader.run("env -u DATABASE_URL -u REDIS_URL mobvibe status --json")  # in the stores of `make run`
    assert json.loads(status)["completed"] == 2


def test_what_is_left_out_runs_elsewhere() -> None:
    assert "start tests 'make test'" in (ROOT / ".ci" / "run").read_text()
    shown = [block.code for block in blocks(README) if block.language in SHELL]
    assert sum(code.count("\nmake test ") for code in shown) == len(ELSEWHERE)
    assert len(shown) == 3
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
