"""The code of two releases: today's, and the one before it, whose wheel is kept in tests/releases."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
(PREVIOUS_WHEEL,) = (ROOT / "tests" / "releases").glob("mobvibe_bridge-*.whl")


@dataclass(frozen=True)
class Release:
    """Processes get its code by PYTHONPATH, which comes before what is installed."""

    version: str
    path: Path


TODAY = Release("today", ROOT)


def previous(folder: Path) -> Release:
    """The release before today's, unpacked into a folder."""
    version = PREVIOUS_WHEEL.name.split("-")[1]
    path = folder / version
    with zipfile.ZipFile(PREVIOUS_WHEEL) as wheel:
        wheel.extractall(path)
    return Release(version, path)
