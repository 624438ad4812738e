"""deploy/logs: what ships logs reads the fields that our lines have."""

import io
import json
import logging
import re
from typing import Any

import pytest
import yaml

from bridge.logs.formats import configure_logging
from bridge.settings import Settings
from tests.support.deploy import DEPLOY

ALLOY = (DEPLOY / "logs/alloy.config").read_text()
FILEBEAT = yaml.safe_load((DEPLOY / "logs/filebeat.yml").read_text())


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A line of a job that has ended, as a container writes it."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(Settings(log_format="json"))
    logging.getLogger("bridge.worker").info("Job completed", extra={"jobId": "x", "duration": 5200})
    for handler in root.handlers:
        handler.flush()
    root.handlers[:], root.level = handlers, level
    return dict(json.loads(written.getvalue().splitlines()[-1]))


def test_loki_reads_level_and_time(line: dict[str, Any]) -> None:
    [expressions] = re.findall(r"expressions = \{(.*?)\}", ALLOY)
    assert set(re.findall(r"\"(\w+)\"", expressions)) <= line.keys()
    assert 'format = "UnixMs"' in ALLOY
    assert isinstance(line["time"], int)
    assert ALLOY.count("{") == ALLOY.count("}")


def test_the_labels_of_loki_are_few(line: dict[str, Any]) -> None:
    [labels] = re.findall(r"stage\.labels \{\s*values = \{(.*?)\}", ALLOY, re.DOTALL)
    assert re.findall(r"\w+", labels) == ["level"]
    assert line.keys() > {"jobId", "duration"}, "ids stay in the line"


def test_elasticsearch_finds_jobs_by_their_duration(line: dict[str, Any]) -> None:
    """The query of the Node worker's manual: msg is "Job completed", duration at least 5000."""
    parser = FILEBEAT["filebeat.inputs"][0]["parsers"][1]["ndjson"]
    assert parser["target"] == "", "else the fields would be below another one"
    [timestamp] = [one["timestamp"] for one in FILEBEAT["processors"] if "timestamp" in one]
    assert (timestamp["field"], timestamp["layouts"]) == ("time", ["UNIX_MS"])
    assert line["msg"] == "Job completed"
    assert line["duration"] >= 5000
