"""The benchmark measures every way to insert a job or to run workers that README and docs show."""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.ways import INSERTING, WORKING

ROOT = Path(__file__).parents[2]
README, GUIDES = ROOT / "README.md", sorted((ROOT / "docs" / "how-to").glob("*.md"))
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
CODE = re.compile(r"^(`{3,}).*?^\1|`[^`]+`", re.MULTILINE | re.DOTALL)

# Everything that inserts a job: SQL with its columns, a call, a command, a request.
INSERTS = re.compile(
    r"INSERT INTO coding_jobs \(.*?\)[^('`\n]*|COPY coding_jobs[^'`\n]*"
    r"|\benqueue\(|\.\w*send\w*\(|mobvibe jobs send|POST /functions/[\w/-]+"
)
VARIANTS = {".send(": ".send()", ".send_with_options(": ".send()"}
COMMANDS = re.compile(r"(?<!from )(?<![.\w])(?:mobvibe|dramatiq|honcho|make) [a-z]+")
NO_WORKERS = {
    "mobvibe bulk", "mobvibe config", "mobvibe doctor", "mobvibe healthcheck", "mobvibe jobs", "mobvibe migrate",
    "mobvibe queues", "mobvibe run", "mobvibe sessions", "mobvibe status", "mobvibe support", "mobvibe web",
    "mobvibe workers", "make check", "make image", "make rollout", "make test",
}  # fmt: skip
DEVELOPMENT = {"mobvibe up", "make run"}  # on this machine only, with stores of their own


def shown(pattern: re.Pattern[str], pages: Sequence[Path]) -> set[str]:
    """The matches of a pattern in the code on these pages."""
    code = "\n".join(found.group() for page in pages for found in CODE.finditer(page.read_text()))
    return {found.strip() for found in pattern.findall(code)}


def test_every_way_to_insert_that_is_shown_is_measured() -> None:
    measured = {way.shown for way in INSERTING.values()}

    found = shown(INSERTS, [README, *GUIDES, *REFERENCE])

    assert {way for way in found if VARIANTS.get(way, way).removesuffix(" …") not in measured} == set()


def test_every_command_that_is_shown_is_measured_or_runs_no_workers() -> None:
    measured = {way.shown for way in WORKING.values()}

    assert shown(COMMANDS, [README, *GUIDES]) - NO_WORKERS - DEVELOPMENT - measured == set()


def test_every_way_that_is_measured_is_shown() -> None:
    text = README.read_text()
    measured = [*(way.shown for way in INSERTING.values()), *(way.shown for way in WORKING.values())]

    assert [way for way in measured if way not in text] == []
