"""Our smaller log record has every attribute of the library's, because other formatters and handlers read them."""

import logging

from bridge.logs.record import LeanRecord


def test_no_attribute_is_missing_and_the_message_is_the_same() -> None:
    args = ("a.logger", logging.WARNING, "/a/path.py", 7, "%s of %s", (1, 2), None)
    ours, theirs = LeanRecord(*args, "function", None), logging.LogRecord(*args, "function", None)

    newer = {"taskName"}  # of later versions of Python
    assert vars(ours).keys() | newer == vars(theirs).keys() | newer
    assert ours.getMessage() == theirs.getMessage() == "1 of 2"
    assert (ours.levelname, ours.process, ours.funcName) == (theirs.levelname, theirs.process, theirs.funcName)


def test_one_mapping_fills_a_message_by_name() -> None:
    record = LeanRecord("a.logger", logging.INFO, "", 0, "%(jobs)d jobs", ({"jobs": 3},), None)

    assert record.getMessage() == "3 jobs"
