"""The API's file describes every address, and needs the same right as what it describes."""

import re
from typing import Any

from flask.testing import FlaskClient


def _spelled_out(path: str) -> list[str]:
    """The path with each word of an `<any(a, b):action>` in its place."""
    found = re.search(r"<any\(([^)]+)\):\w+>", path)
    return [path.replace(found[0], word) for word in found[1].split(", ")] if found else [path]


def test_the_file_describes_each_address_and_no_other(client: FlaskClient, description: dict[str, Any]) -> None:
    served = {
        (path, method)
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        for path in _spelled_out(re.sub(r"<(?!any)\w+(?:\([^)]*\))?:(\w+)>", r"{\1}", str(rule)))
        if path.startswith("/api/")
    }
    written = {(path, method.upper()) for path, methods in description["paths"].items() for method in methods}

    assert served == written
