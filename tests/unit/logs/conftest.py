import logging
from collections.abc import Iterator

import pytest

from bridge.logs.own_loggers import give_up_our_own


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    give_up_our_own()
    root.handlers[:] = handlers
    root.setLevel(level)
