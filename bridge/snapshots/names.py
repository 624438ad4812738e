"""Names of a workspace's files as they are in a snapshot. Git takes neither the name `.git` nor an empty folder.

`.git` is saved as `.git.saved`, and a file `.git.empty` stands for an empty folder. What has one of these names itself
gets one more `.saved`, so that each name has a way back.
"""

import re

EMPTY = b".git.empty"
_SAVED = b".saved"
_RESERVED = re.compile(rb"\.git(?:\.empty)?(?:\.saved)*", re.IGNORECASE)
_LONGEST_PATH = 4095  # bytes: Linux takes no longer one


class UnsafeNameError(ValueError):
    """A path that leads out of the workspace, or that no file can have."""


def saved_name(path: bytes) -> bytes:
    """Raises UnsafeNameError."""
    names = path.split(b"/")
    if not path or len(path) > _LONGEST_PATH or b"\0" in path or not {b"", b".", b".."}.isdisjoint(names):
        raise UnsafeNameError(f"no path inside of the workspace: {path[:100]!r}")
    if b".git" not in path.lower():
        return path
    return b"/".join(name + _SAVED if _RESERVED.fullmatch(name) else name for name in names)


def original_name(path: bytes) -> bytes:
    """Of a saved one; that of an empty folder is the folder's."""
    if path == EMPTY or path.endswith(b"/" + EMPTY):
        path = path[: -len(EMPTY) - 1]
    names = path.split(b"/")
    return b"/".join(name.removesuffix(_SAVED) if _RESERVED.fullmatch(name) else name for name in names)


def is_empty_folder(path: bytes) -> bool:
    """Whether the saved name stands for one."""
    return path.rpartition(b"/")[2] == EMPTY


def is_shown(path: bytes) -> bool:
    """Whether people look at changes of a saved file: not if it belongs to a repository's own data."""
    return not any(map(_RESERVED.fullmatch, path.split(b"/")))
