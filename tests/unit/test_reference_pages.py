"""The pages of the reference that are made from the code say what the code says."""

import shutil
from pathlib import Path

from documentation import commands, metrics, settings, sql_functions
from documentation.__main__ import PAGES, REFERENCE, outdated


def test_the_pages_are_those_that_the_code_makes() -> None:
    assert outdated() == [], "run: make reference"


def test_a_page_that_differs_and_one_that_is_missing_are_found(tmp_path: Path) -> None:
    shutil.copytree(REFERENCE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "metrics.md").write_text("# Metrics\n")
    (tmp_path / "settings.md").unlink()

    assert outdated(tmp_path) == ["metrics.md", "settings.md"]
    assert set(PAGES) > {"metrics.md", "settings.md"}


def test_commands_of_commands_and_their_options_are_there() -> None:
    page = commands.page()

    assert "## mobvibe jobs send\n" in page
    assert "| `--actor TEXT` |" in page


def test_a_setting_has_its_limits_its_default_and_its_meaning() -> None:
    page = settings.page()

    assert "| `LEASE_MS` | a time, from 1,000 to 86,400,000 ms | `30000` | a worker that sends no heartbeat" in page
    assert "| `NODE_ENV` or `APP_ENV` |" in page
    assert "| `DATABASE_URL` | a secret | required |" in page


def test_the_metrics_are_those_of_an_installation_without_jobs() -> None:
    assert "| `bridge_jobs_finished_total` | counter | `queue`, `outcome` | Jobs that ended so far |" in metrics.page()


def test_an_sql_function_has_its_signature_and_its_comment() -> None:
    page = sql_functions.page()

    assert "```sql\nclaim_next_job() RETURNS TABLE (job_id uuid, session_id uuid," in page
    assert "\nClaims the due job with the highest priority" in page
