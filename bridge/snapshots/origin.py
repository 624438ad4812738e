"""The Git repository that a session starts from, as a request or a job's payload names it."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from bridge.errors import BridgeError

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_PATH = re.compile(r"/[A-Za-z0-9._~/+-]+")
_URL = re.compile(r"[!-~]{1,500}")  # a longer one is no name that a person gave
_BRANCH = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._/-]{0,199}")


class OriginError(BridgeError):
    """What was given names no repository. One line, which never repeats it: it may hold a token."""


class Origin(NamedTuple):
    """`branch` None: the default one."""

    url: str
    branch: str | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """Of the first job of the session."""
        return {"repository": {name: value for name, value in self._asdict().items() if value is not None}}


def read_origin(given: Any) -> Origin:
    """Of a JSON object with `url` and, if it is not the default one, `branch`. Raises OriginError."""
    if not isinstance(given, Mapping) or not {"url"} <= set(given) <= {"url", "branch"}:
        raise OriginError("it must be an object with url and, for another than the default one, branch")
    split_address(given["url"])
    if "branch" in given and not is_branch(given["branch"]):
        raise OriginError("its branch has a name that cannot be cloned")
    return Origin(**given)


def split_address(url: Any) -> SplitResult:
    """Of an address by HTTPS without user, query and fragment. Raises OriginError."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        is_good = parts.port != 0 and all(
            (
                _URL.fullmatch(url),  # urlsplit drops line breaks and tabs
                parts.scheme == "https",
                _HOST.fullmatch(parts.hostname or ""),
                _PATH.fullmatch(parts.path) and ".." not in parts.path,
                not parts.query and not parts.fragment,
            )
        )
    except (ValueError, TypeError):
        is_good = False
    if not is_good:
        raise OriginError("its address is not one such as https://github.com/owner/name")
    if parts.username is not None or parts.password is not None:
        raise OriginError("its address has a user or a token in it: remove that, GIT_TOKEN opens private repositories")
    return parts


def is_branch(name: Any) -> bool:
    return isinstance(name, str) and bool(_BRANCH.fullmatch(name)) and ".." not in name
