"""The processes of the Procfile: if one cannot start, it says why in one line."""

import subprocess
import sys
from pathlib import Path

from tests.support.commands import Run, mobvibe


def test_a_taken_port_is_one_line_and_exit_code_1(run: Run, taken_port: int) -> None:
    result = run("web", HEALTH_CHECK_PORT=str(taken_port), SUPABASE_JWT_SECRET="s" * 40)

    assert result.code == 1
    assert result.one_line() == (
        f"mobvibe: Cannot listen on 127.0.0.1:{taken_port}: Address already in use. "
        "Set HEALTH_CHECK_PORT to a free port."
    )


def test_embedded_stores_refuse_production(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("bridge: true\n")

    result = mobvibe("up", cwd=tmp_path, NODE_ENV="production")

    assert result.code == 1
    assert result.one_line().startswith("mobvibe: mobvibe up is for development and NODE_ENV is production.")
    assert not (tmp_path / ".mobvibe").exists()


def test_a_closed_standard_error_causes_no_failure(tmp_path: Path, dsn: str, redis_url: str) -> None:
    script = f"DATABASE_URL={dsn} REDIS_URL={redis_url} timeout 8 {sys.executable} -m bridge run 2>&-"

    assert subprocess.run(["sh", "-c", script], cwd=tmp_path, check=False).returncode in (0, 124)
