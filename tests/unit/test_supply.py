"""What is said about the parts that we did not write: their licences, their faults, the list of them."""

import json
from typing import Any

import pytest

from supply import audit, licences, sbom
from supply.dependencies import by_use, dependencies


def test_every_licence_is_known_or_was_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert licences.main() == 0
    printed = capsys.readouterr().out
    assert "psycopg " in printed
    assert "uplot-" in printed


def test_no_package_is_excused_that_is_not_used() -> None:
    assert set(licences.LOOKED_AT) <= by_use().keys()


def test_what_runs_is_told_from_what_tests_need() -> None:
    assert "psycopg-binary" in dependencies()  # by an extra of a dependency
    assert "pytest" not in dependencies(["agent"])
    assert "anthropic" in dependencies(["agent"])
    assert [by_use()[name][0] for name in ("psycopg", "anthropic", "pytest")] == ["run", "agent", "development"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("MIT", "permissive"),
        ("Apache-2.0 AND BSD-2-Clause", "permissive"),
        ("GPL-3.0-or-later OR MIT", "permissive"),
        ("MIT AND LGPL-3.0-only", "copyleft"),
        ("GNU Lesser General Public License v3 or later (LGPLv3+)", "copyleft"),
        ("AGPL-3.0-only", "copyleft"),
        ("Proprietary", "unknown"),
        ("MIT AND Proprietary", "unknown"),
        ("", "unknown"),
    ],
)
def test_kinds_of_licences(name: str, kind: str) -> None:
    assert licences.kind(name) == kind


def test_a_licence_that_nobody_looked_at_is_named() -> None:
    found = {"psycopg": "LGPL-3.0-only", "new": "AGPL-3.0-only", "odd": "Proprietary", "none": ""}

    assert list(licences.objections(found)) == [
        "new is under AGPL-3.0-only: look at what it asks for, then name it in supply/licences.py",
        "odd has a licence that is not known here: Proprietary",
        "none has a licence that is not known here: none is named",
    ]


FAULT = {"name": "b", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
GOOD = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("found", "code", "out", "err"),
    [
        ([GOOD], 0, "audit: 1 packages, none with a known vulnerability\n", ""),
        ([GOOD, FAULT], 1, "b 1: CVE-1, mended in 1.1\n", ""),
        ([GOOD, SKIPPED], 2, "", "audit: no data about 1 of 2 packages: c\n"),
        ([FAULT, SKIPPED], 1, "b 1: CVE-1, mended in 1.1\n", "audit: no data about 1 of 2 packages: c\n"),
    ],
)
def test_a_package_without_data_is_not_one_without_fault(
    capsys: pytest.CaptureFixture[str], found: list[dict[str, Any]], code: int, out: str, err: str
) -> None:
    assert audit.told(audit.parsed(json.dumps({"dependencies": found, "fixes": []}), "")) == code
    assert capsys.readouterr() == (out, err)


def test_without_an_answer_the_last_line_says_why() -> None:
    with pytest.raises(LookupError, match="^ERROR: no route$"):
        audit.parsed("", "WARNING: one\nERROR: no route\n")


def test_the_bill_lists_what_is_shipped_and_no_tools() -> None:
    bom = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [{"name": "Flask", "bom-ref": "f"}, {"name": "pytest", "bom-ref": "p"}],
        "dependencies": [{"ref": "root", "dependsOn": ["f", "p"]}, {"ref": "p"}, {"ref": "f"}],
    }

    assert sbom.restricted(bom, {"flask"}) == {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [{"name": "Flask", "bom-ref": "f"}],
        "dependencies": [{"ref": "root", "dependsOn": ["f"]}, {"ref": "f", "dependsOn": []}],
    }
