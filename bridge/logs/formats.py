"""Formats of log lines: a JSON object per line in production, readable and coloured text in development.

Names and numbers follow pino, so that programs which read the Node worker's logs can read these: `level` 10 (trace)
to 60 (fatal), `time` in epoch milliseconds, `pid`, `hostname`, `msg`, and the fields of the event.
"""

import json
import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from functools import lru_cache, partial
from itertools import islice
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from bridge.logs.buffer import BufferedHandler
from bridge.logs.fields import LogFields
from bridge.logs.own_loggers import flush_our_own, make_our_own
from bridge.logs.record import LeanRecord
from bridge.logs.terminal import visible, visible_lines
from bridge.settings import Settings

TRACE = 5  # Python has no level below DEBUG, which is 10
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_PINO_LEVEL = {
    TRACE: 10,
    logging.DEBUG: 20,
    logging.INFO: 30,
    logging.WARNING: 40,
    logging.ERROR: 50,
    logging.CRITICAL: 60,
}
_SEPARATORS = (",", ":")  # as pino writes: people search the text for "level":50
_COLOUR = {"TRACE": 90, "DEBUG": 36, "INFO": 32, "WARN": 33, "ERROR": 31, "FATAL": 35}
_BORN_WITH = 20  # attributes that every record has from its creation; a line's own fields come after them
_MESSAGE_MOST, _STACK_MOST = 8_000, 32_000  # characters of an error in one line: an actor's may be of any length
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Dramatiq writes these about its threads at every start of a worker process. They are of no use and are left out.
_DRAMATIQS_OWN = frozenset({"Starting event loop...", "Event loop is running.", "Worker process is ready for action."})


@lru_cache(maxsize=4)
def _clock(second: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(second))


@lru_cache
def _level_name(levelno: int) -> str:
    return next(name for name, level in reversed(LEVELS.items()) if levelno >= level or level == TRACE).upper()


@lru_cache
def _pino_level(levelno: int) -> int:
    return next((pino for level, pino in sorted(_PINO_LEVEL.items(), reverse=True) if levelno >= level), 10)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    # The attributes from its creation come first, and are skipped to save time.
    return {name: value for name, value in islice(vars(record).items(), _BORN_WITH, None) if name not in _STANDARD}


@lru_cache
def _label(levelno: int, colour: bool) -> str:
    name = _level_name(levelno)
    return f"\x1b[{_COLOUR[name]}m{name:<5}\x1b[0m" if colour else f"{name:<5}"


def _pairs(fields: Mapping[str, object]) -> str:
    pairs = [(key, value) for key, value in fields.items() if value is not None]
    text = "".join([f" {key}={value}" for key, value in pairs])
    if text.isascii() and text.isprintable():  # as in `visible`; once for most lines
        return text
    return "".join([f" {key}={visible(str(value))}" for key, value in pairs])


def _error(record: logging.LogRecord) -> dict[str, str] | None:
    if not record.exc_info or record.exc_info[1] is None:
        return None
    error = record.exc_info[1]
    if record.exc_info[2] is None and error.__traceback__ is not None:
        return None  # without its traceback on purpose: the line says all, and the exception is for error trackers
    return {
        "type": type(error).__name__,
        "message": _cut(_text(error), _MESSAGE_MOST),
        "stack": _cut("".join(traceback.format_exception(error)), _STACK_MOST),
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 -- the `__str__` of an actor's exception may itself fail
        return "(its text could not be made)"


def _cut(text: str, most: int) -> str:
    """`text`, or its beginning and its end when it is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most // 2]} … (cut) … {text[-most // 2 :]}"


class PinoFormatter(JsonFormatter):
    """Formats a record as one line of JSON."""

    def __init__(self, worker_id: str | None = None) -> None:
        super().__init__(json_serializer=partial(json.dumps, separators=_SEPARATORS), json_ensure_ascii=False)
        self._place = {"hostname": socket.gethostname()} | ({} if worker_id is None else {"workerId": worker_id})

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return log_data

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],  # noqa: ARG002 -- the library's signature
    ) -> None:
        log_data.clear()
        log_data |= {
            "level": _pino_level(record.levelno),
            "time": int(record.created * 1000),
            "pid": record.process,
        } | self._place
        log_data |= _fields(record)
        if (error := _error(record)) is not None:
            log_data["err"] = error
        log_data["msg"] = record.getMessage()

    def line(self, levelno: int, message: str, fields: LogFields, more: Mapping[str, int]) -> str:
        """Format a line from its parts, without a LogRecord."""
        if fields.text is None:
            born = {"pid": os.getpid()} | self._place | fields
            fields.text = json.dumps(born, ensure_ascii=False, separators=_SEPARATORS)[1:-1]
        own = "".join([f'"{name}":{number},' for name, number in more.items()])
        head = f'{{"level":{_pino_level(levelno)},"time":{int(time.time() * 1000)},{fields.text},'
        return f'{head}{own}"msg":{json.dumps(message, ensure_ascii=False)}}}'


class PrettyFormatter(logging.Formatter):
    """Formats a record for people: HH:MM:SS.mmm INFO  Job completed jobId=… duration=12."""

    def __init__(self, *, colour: bool, clock: bool = True) -> None:
        super().__init__()
        self._colour = colour
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        line = self._line(record.levelno, record.created, visible(record.getMessage()), _pairs(_fields(record)))
        error = _error(record)
        return "\n".join([line, *(visible_lines(error["stack"].rstrip()) if error else [])])

    def line(self, levelno: int, message: str, fields: LogFields, more: Mapping[str, int]) -> str:
        """Format a line from its parts, without a LogRecord."""
        if fields.text is None:
            fields.text = _pairs(fields)
        pairs = fields.text
        for name, number in more.items():
            pairs += f" {name}={number}"
        return self._line(levelno, time.time(), message, pairs)

    def _line(self, levelno: int, created: float, message: str, pairs: str) -> str:
        label = _label(levelno, self._colour)
        clock = f"{_clock(int(created))}.{int(created * 1000) % 1000:03d} " if self._clock else ""
        if self._colour and pairs:
            pairs = f"\x1b[2m{pairs}\x1b[0m"
        return f"{clock}{label} {message}{pairs}"


def configure_logging(settings: Settings, stream: TextIO | None = None, *, buffered: bool = False) -> None:
    """Make the root logger write in our format, at LOG_LEVEL, to stderr or `stream`."""
    # Our lines do not show the place in the code and the thread: do not spend time to find them for each line.
    logging._srcfile = None  # noqa: SLF001 -- Python documents it as the way to do this
    logging.setLogRecordFactory(LeanRecord)
    logging.addLevelName(TRACE, "TRACE")
    stream = stream or sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 -- open until the process ends
    handler = BufferedHandler(stream) if buffered else logging.StreamHandler(stream)
    colour = _wants_colour(stream)
    if settings.logs_are_pretty:
        handler.setFormatter(PrettyFormatter(colour=colour, clock=not settings.under_honcho))
    else:
        handler.setFormatter(PinoFormatter(settings.worker_id))
    handler.addFilter(_is_wanted)
    root, level = logging.getLogger(), LEVELS[settings.log_level]
    for old in list(root.handlers):
        if _is_replaced(old):
            root.removeHandler(old)
    if not any(_is_seen(other) for other in root.handlers):
        root.addHandler(handler)
        root.setLevel(level)
    make_our_own(handler, level)
    for chatty in ("psycopg", "psycopg.pool"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, LEVELS[settings.log_level]))


def _is_wanted(record: logging.LogRecord) -> bool:
    return record.msg not in _DRAMATIQS_OWN


def _wants_colour(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def _is_replaced(handler: logging.Handler) -> bool:
    """Whether `configure_logging` removes a handler: its own of an earlier call, or Dramatiq's.

    Dramatiq's sends each line through the parent process. Handlers of the host application are kept.
    """
    if isinstance(handler.formatter, PrettyFormatter | PinoFormatter):
        return True
    return type(handler) is logging.StreamHandler and type(handler.stream).__name__ == "StreamablePipe"


def _is_seen(handler: logging.Handler) -> bool:
    """Whether a handler of the host application writes to its console or a file: with ours, lines would come twice."""
    if isinstance(handler, logging.FileHandler):
        return handler.baseFilename != os.devnull
    consoles = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return type(handler) is logging.StreamHandler and handler.stream in consoles


def write_last_lines() -> None:
    """Flush every handler before this process ends, ours too: a host's configuration may have taken it off the list."""
    logging.shutdown()
    flush_our_own()
