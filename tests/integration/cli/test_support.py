"""`mobvibe support-bundle`: the file that it writes."""

import json
import zipfile
from pathlib import Path

from tests.support.commands import Run
from tests.support.rows import Rows


def test_a_bundle_is_written_for_its_owner_only_and_replaces_nothing(run: Run, rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"

    result = run("support-bundle", "--output", str(path))

    assert (result.code, result.out) == (0, f"{path}\n")
    assert path.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path) as bundle:
        checks = json.loads(bundle.read("checks.json"))
    assert {"postgres", "redis", "schema", "workers"} <= {check["check"] for check in checks}
    before = path.read_bytes()
    again = run("support-bundle", "--output", str(path))
    assert (again.code, again.out) == (1, "")
    assert again.err == f"mobvibe: Cannot write {path}: File exists. Give another one: --output FILE\n"
    assert path.read_bytes() == before
