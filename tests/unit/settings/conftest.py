import os
from pathlib import Path

import pytest

from bridge.settings import Settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty environment and an empty folder."""
    for name in list(os.environ):
        if name.lower().removesuffix("_file") in Settings.model_fields or name == "APP_ENV":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
