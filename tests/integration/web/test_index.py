"""The start page."""

from flask.testing import FlaskClient

from tests.support.rows import Rows


def test_the_start_page_shows_addresses_and_counts(client: FlaskClient, rows: Rows) -> None:
    rows.add_job(queue="reports")

    answer = client.get("/")

    assert answer.status_code == 200
    for text in ("/health", "/livez", "/readyz", "/stats", "/metrics", "start-coding-session", "reports", "0 workers"):
        assert text in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for asset in ("index.css", "index.js", "icon.svg"):
        with client.get(f"/static/{asset}") as served:
            assert served.status_code == 200


def test_the_start_page_says_that_postgres_is_unreachable(cut_off: FlaskClient) -> None:
    answer = cut_off.get("/")

    assert answer.status_code == 200
    assert "Postgres is unavailable" in answer.text
    assert "geheim" not in answer.text
