"""`mobvibe jobs list` and `show` on rows of any kind: readable, within the terminal, exact as JSON."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from bridge.logs.terminal import display_width
from tests.support.commands import Run, mobvibe_on_a_terminal
from tests.support.rows import Rows

HOSTILE = "\x1b[2J\x1b]0;t\x07\x9b1m\x7f\t\u202e\u2066\u200b\u0301 日本語 👍 \nstatus               forged"
CONTROL_CHARACTERS = {chr(code) for code in (*range(32), *range(0x7F, 0xA0))} - {"\n"} | set("\u202e\u2066\u200b")
SHOWN = r"\x1b[2J\x1b]0;t\x07\x9b1m\x7f\t\u202e\u2066\u200b\u0301 日本語 👍 "


@pytest.fixture
def hostile(rows: Rows) -> UUID:
    """A failed job in which every text comes from an attacker."""
    session = rows.add_session()
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, %s, %s)",
        [session, HOSTILE, json.dumps({"text": HOSTILE})],
    )
    job_id = rows.add_job(
        actor=HOSTILE, prompt=HOSTILE * 3, payload={HOSTILE: HOSTILE}, session_id=session, status="failed",
        error_message=HOSTILE, claimed_by=HOSTILE, queue="q" * 150,
    )  # fmt: skip
    rows.all(
        "INSERT INTO job_attempts (job_id, fence, claimed_at, finished_at, outcome, error)"
        " VALUES (%s, 1, now(), now(), 'failed', %s)",
        [job_id, HOSTILE],
    )
    return job_id


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_row_sends_no_control_codes_and_fits_the_terminal(
    dsn: str, redis_url: str, tmp_path: Path, hostile: UUID, columns: int
) -> None:
    for words in (["list"], ["show", str(hostile)]):
        output = mobvibe_on_a_terminal(
            "jobs", *words, columns=columns, cwd=tmp_path, DATABASE_URL=dsn, REDIS_URL=redis_url
        )

        assert not CONTROL_CHARACTERS & set(output)
        lines = output.splitlines()
        assert max(map(display_width, lines)) <= columns
        assert [line for line in lines if line.startswith("status ")] == (
            ["status               failed"] * (words != ["list"])
        )
        assert words != ["list"] or (len(lines) == 2 and str(hostile) in lines[1] and lines[1].endswith("…"))


def test_output_to_a_pipe_is_not_cut(run: Run, hostile: UUID) -> None:
    row = run("jobs", "list").out.splitlines()[1]
    assert row.count(rf"{SHOWN}\nstatus               forged") == 2
    assert "q" * 150 in row

    shown = run("jobs", "show", str(hostile)).out
    assert not CONTROL_CHARACTERS & set(shown)
    assert f"actor                {SHOWN}\n{'':20} status               forged\n" in shown


def test_json_is_exact_and_sends_no_control_codes(run: Run, rows: Rows, hostile: UUID) -> None:
    rows.all("UPDATE coding_jobs SET error_message = error_message || repeat('x', 5000)")
    for output in (run("jobs", "list", "--json").out, run("jobs", "show", str(hostile), "--json").out):
        assert not CONTROL_CHARACTERS & set(output)
        assert "日本語" in output
        found = json.loads(output)
        job = found[0] if isinstance(found, list) else found
        assert (job["actor"], job["error_message"]) == (HOSTILE, HOSTILE + "x" * 5000)
    assert found["payload"] == {HOSTILE: HOSTILE}
    assert found["events"][0]["event_type"] == HOSTILE
