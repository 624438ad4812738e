import logging
from collections.abc import Iterator

import pytest

from bridge.logs.own_loggers import give_up_our_own


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    """Restore the root logger after the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    give_up_our_own()
    root.handlers[:] = handlers
    root.setLevel(level)
