"""The dashboard below a path of a proxy, which removes the path from each request or passes it on."""

import re
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.web import SECRET, WebProcess


@pytest.fixture
def web(dsn: str, redis_url: str, tmp_path: Path) -> Iterator[WebProcess]:
    web = WebProcess(dsn, redis_url, SECRET, tmp_path, PATH_PREFIX="/mobvibe/", DASHBOARD_PASSWORD="correct horse")
    yield web
    web.end()


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    text: str


def get(web: WebProcess, path: str) -> Answer:
    connection = HTTPConnection(*web.address, timeout=10)
    connection.request("GET", path, headers={"Accept": "text/html"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return Answer(answer.status, answer.headers, text)


def test_addresses_and_cookies_are_those_of_the_prefix_whether_a_proxy_removes_it_or_not(web: WebProcess) -> None:
    for prefix in ("/mobvibe", ""):
        page = get(web, f"{prefix}/login")

        assert page.status == 200
        addresses = set(re.findall(r'(?:href|action|src)="(/[^"]*)"', page.text))
        assert addresses >= {"/mobvibe/static/index.css", "/mobvibe/static/icon.svg"}
        assert all(address.startswith("/mobvibe/") for address in addresses)
        assert "; Path=/mobvibe" in page.headers["Set-Cookie"]
        assert get(web, f"{prefix}/static/index.css").status == 200
        asked = get(web, f"{prefix}/jobs?q=status:failed")
        assert (asked.status, asked.headers["Location"]) == (302, "/mobvibe/login?next=/mobvibe/jobs?q%3Dstatus:failed")


def test_the_prefix_alone_leads_to_the_start_page_under_whatever_name_a_proxy_has(web: WebProcess) -> None:
    answer = get(web, "/mobvibe?range=24h")

    assert (answer.status, answer.headers["Location"]) == (307, "/mobvibe/?range=24h")


def test_probes_are_answered_with_and_without_the_prefix_and_nothing_that_resembles_it(web: WebProcess) -> None:
    asked = {
        "/livez": 200, "/mobvibe/livez": 200, "/mobvibe/health": 200,
        "/mobvibes/livez": 404, "/mobvibe/mobvibe/livez": 404, "/other/mobvibe/login": 404,
    }  # fmt: skip
    assert {path: get(web, path).status for path in asked} == asked
