"""Whatever a host does to the logging library, our lines are neither lost nor doubled, and its own stay as they are."""

import io
import json
import logging
import logging.config
import sys
from collections.abc import Callable, Iterator

import pytest

from bridge.logs import job_lines
from bridge.logs.fields import LogFields
from bridge.logs.formats import configure_logging, write_last_lines
from bridge.logs.own_loggers import OwnLogger, give_up_our_own
from bridge.settings import Settings

BARE = {"version": 1, "handlers": {}, "root": {"handlers": [], "level": "ERROR"}}


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers[:] = []
    yield
    logging.disable(logging.NOTSET)
    give_up_our_own()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in list(logging.root.manager.loggerDict):  # dictConfig() disables those that other tests made
        logging.getLogger(name).disabled = False


def silence_by_dict_config() -> None:
    logging.config.dictConfig(BARE)


def replace_the_handlers() -> None:
    logging.basicConfig(force=True, level=logging.ERROR, stream=io.StringIO())


def disable_all() -> None:
    logging.disable(logging.CRITICAL)


def remove_the_handlers() -> None:
    logging.getLogger().handlers.clear()


@pytest.mark.parametrize(
    "does", [silence_by_dict_config, replace_the_handlers, disable_all, remove_the_handlers, lambda: None]
)
@pytest.mark.parametrize("buffered", [True, False])
def test_our_lines_are_written_once_whatever_a_host_does_to_logging(does: Callable[[], None], buffered: bool) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("bridge.test_own_loggers")
    configure_logging(Settings(_env_file=None, node_env="production"), stream, buffered=buffered)  # type: ignore[call-arg]

    does()
    logger.info("one")
    job_lines.info(logger, "two", LogFields(jobId="1"))
    logger.debug("below the level")
    write_last_lines()

    assert [json.loads(line)["msg"] for line in stream.getvalue().splitlines()] == ["one", "two"]


def test_a_hosts_own_console_keeps_its_format_and_does_not_get_our_lines() -> None:
    theirs = io.StringIO()
    console = logging.StreamHandler(sys.stderr)
    console.setStream(theirs)
    root = logging.getLogger()
    root.addHandler(console)
    root.setLevel(logging.WARNING)
    stderr, sys.stderr = sys.stderr, theirs
    ours = io.StringIO()
    try:
        configure_logging(Settings(_env_file=None, node_env="production"), ours)  # type: ignore[call-arg]
    finally:
        sys.stderr = stderr

    logging.getLogger("shop.orders").warning("an order")
    logging.getLogger("bridge.test_own_loggers").info("a job")

    assert console in root.handlers
    assert theirs.getvalue() == "an order\n"
    assert json.loads(ours.getvalue())["msg"] == "a job"


def test_a_handler_for_other_destinations_gets_our_lines_too() -> None:
    seen: list[str] = []
    watcher = logging.Handler()
    watcher.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(watcher)
    stream = io.StringIO()
    configure_logging(Settings(_env_file=None, node_env="production"), stream)  # type: ignore[call-arg]

    logging.getLogger("bridge.test_own_loggers").error("a job failed")

    assert seen == ["a job failed"]
    assert json.loads(stream.getvalue())["msg"] == "a job failed"


def test_loggers_are_restored() -> None:
    logger = logging.getLogger("bridge.test_own_loggers")
    configure_logging(Settings(_env_file=None), io.StringIO())  # type: ignore[call-arg]
    assert type(logger) is OwnLogger

    give_up_our_own()

    assert type(logger) is logging.Logger
    assert logging.getLogger("bridge").level == logging.NOTSET
