"""Structured logs that never block a loop and that nobody outside can forge.

`log = get("server")`, then `log.info("client.closed", code=1002, reason=reason)`: an event's fixed
name and fields. A thin skin over the standard `logging`, so that libraries' lines look the same.

The caller only puts the record into a bounded queue; a daemon thread formats it and writes to
standard error. A full queue (blocked pipe) or a failing write (full disk) costs lines, counted in
`dropped`, never time. Control characters are escaped, values cut at VALUE_CHARS_MAX, and one event
gets at most REPEATS_PER_S lines a second; `log.suppressed` says how many more there were.
"""

import json
import logging
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

VALUE_CHARS_MAX = 256
"""A value from outside says what it is in its beginning."""
TRACE_CHARS_MAX = 2048
"""A traceback says most at its end; the whole line stays below PIPE_BUF, so lines never mix."""
FIELDS_MAX = 16
QUEUE_RECORDS_MAX = 1024
REPEATS_PER_S = 10
ORIGINS_INTERVAL_S = 10.0
"""A refused page tries again and again; one line shows what it is."""
EVENTS_MAX = 512
"""Distinct events counted at once: names are fixed in the code, this only bounds a mistake."""
LINE_BYTES_MAX = 4096
FLUSH_INTERVAL_S = 0.5
"""How soon after the last line of a burst `log.suppressed` says how many more there were."""

_ROOT = "gateway"


class Logger:
    """Logs events of one part; each call takes some microseconds and never blocks."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"{_ROOT}.{name}")

    def debug(self, event: str, **fields: object) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """An error with the exception being handled."""
        self._log(logging.ERROR, event, fields, trace=True)

    def _log(
        self, level: int, event: str, fields: dict[str, object], *, trace: bool = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields}, exc_info=trace)


def get(name: str) -> Logger:
    """The logger of a part: `get("server")`."""
    return Logger(name)


class RepeatLimiter:
    """At most `per_s` lines a second for each event; counts the rest. Not thread-safe."""

    def __init__(self, per_s: int = REPEATS_PER_S) -> None:
        self._per_s = per_s
        self._windows: dict[str, list[float]] = {}  # event -> [window's start, lines seen]

    def allow(self, event: str, now_s: float) -> bool:
        window = self._windows.get(event)
        if window is None:
            if len(self._windows) >= EVENTS_MAX:
                return False
            window = self._windows[event] = [now_s, 0]
        window[1] += 1
        return window[1] <= self._per_s

    @property
    def counting(self) -> bool:
        """Whether a window is open."""
        return bool(self._windows)

    def expire(self, now_s: float) -> list[tuple[str, int]]:
        """Ends the windows older than a second: (event, lines suppressed) where there were any."""
        over = [event for event, window in self._windows.items() if now_s - window[0] >= 1]
        windows = [(event, int(self._windows.pop(event)[1])) for event in over]
        return [(event, seen - self._per_s) for event, seen in windows if seen > self._per_s]


class RefusedOrigins:
    """Logs refused origins of browsers: a stranger's doing, but often a page that should work."""

    def __init__(self, logger: Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._told_s = float("-inf")
        self._since = 0

    def note(self, origin: str, peer: str) -> None:
        """One line in ORIGINS_INTERVAL_S; the next says how many more there were."""
        now_s = self._clock()
        if now_s - self._told_s < ORIGINS_INTERVAL_S:
            self._since += 1
            return
        self._logger.warning(
            "origin.refused",
            origin=origin,
            peer=peer,
            allow="listen.origins",
            more_since_last=self._since,
        )
        self._told_s, self._since = now_s, 0


class LogFile:
    """A file that lines are appended to, of several processes at once.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = self._open()

    def write(self, data: bytes) -> None:
        """Appends a line."""
        os.write(self._fd, data)

    def reopen(self) -> None:
        """Opens the path anew, since a rotation renames the file; OSError: the old one stays."""
        fd = self._open()
        # The writer's thread may be writing: its descriptor's number must mean a file throughout.
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)

    def _open(self) -> int:
        # Without O_NONBLOCK the opening of a named pipe would wait for its reader, and with it the
        # caller's loop. Writing may wait: that is done on a thread of its own.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(self._path, flags, 0o640)
        os.set_blocking(fd, True)
        return fd


class LogHandler(logging.Handler):
    """Takes records from any thread and writes them from one of its own."""

    def __init__(
        self,
        process: str,
        style: Literal["text", "json"],
        write: Callable[[bytes], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.dropped = 0
        self.file: LogFile | None = None
        self._process = process
        self._render = render_json if style == "json" else render_text
        self._write = write
        self._clock = clock
        self._limiter = RepeatLimiter()
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(QUEUE_RECORDS_MAX)
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        now_s = self._clock()
        for event, count in self._limiter.expire(now_s):
            self._put(_suppressed(event, count))
        if self._limiter.allow(_key(record), now_s):
            self._put(record)

    def stop(self, timeout_s: float = 1.0) -> None:
        """Writes what is queued; where nobody reads, it waits `timeout_s` for room, then again."""
        with self.lock or threading.RLock():
            for event, count in self._limiter.expire(float("inf")):
                self._put(_suppressed(event, count))
        with suppress(queue.Full):
            self._queue.put(None, timeout=timeout_s)
        self._thread.join(timeout_s)

    def _put(self, record: logging.LogRecord) -> None:
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        while True:
            # Each window began with a record, so whoever waits without end misses no expiry.
            timeout_s = FLUSH_INTERVAL_S if self._limiter.counting else None
            try:
                record = self._queue.get(timeout=timeout_s)
            except queue.Empty:
                self._flush_suppressed()
                continue
            if record is None:
                return
            try:
                self._write(self._render(self._process, record))
            except (OSError, ValueError):
                self.dropped += 1

    def _flush_suppressed(self) -> None:
        with self.lock or threading.RLock():
            for event, count in self._limiter.expire(self._clock()):
                self._put(_suppressed(event, count))


def configure(
    process: str,
    style: Literal["text", "json"] = "text",
    level: str = "info",
    write: Callable[[bytes], object] | None = None,
    *,
    file: str = "",
) -> LogHandler:
    """Sends all logging of this process through one handler; `process` is written in each line.

    To standard error, or to a `file`, of which OSError says why it cannot be opened.
    """
    opened = LogFile(file) if file else None
    write = write or (opened.write if opened else lambda data: os.write(2, data))
    handler = LogHandler(process, style, write)
    handler.file = opened
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)
    return handler


def set_level(level: str) -> None:
    """The least level that this process logs from now on."""
    logging.getLogger(_ROOT).setLevel(level.upper())


def reopen(handler: LogHandler) -> None:
    """Opens the handler's file anew, or says why not."""
    if handler.file is None:
        get("log").warning("reopen.nothing", why="logs go to standard error (log.file)")
        return
    try:
        handler.file.reopen()
    except OSError as error:
        get("log").error("reopen.failed", error=error.strerror, kept="the file that is open")
        return
    get("log").info("reopen.done")


def render_text(process: str, record: logging.LogRecord) -> bytes:
    """One line: time, level, process, logger, event, then `key=value`."""
    stamp, level, name, event, fields = _parts(record)
    words = [stamp, f"{level:<7}", process, name, _escaped(event)]
    words += [f"{_escaped(key)}={_word(value)}" for key, value in fields.items()]
    return _line(" ".join(words))


def render_json(process: str, record: logging.LogRecord) -> bytes:
    """One line: a JSON object in ASCII."""
    stamp, level, name, event, fields = _parts(record)
    head = {"time": stamp, "level": level, "process": process, "logger": name, "event": event}
    return _line(json.dumps(head | fields | head).replace("\x7f", "\\u007f"))


def _parts(record: logging.LogRecord) -> tuple[str, str, str, str, dict[str, Any]]:
    stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
    given = getattr(record, "fields", None)
    fields: dict[str, Any] = {}
    if isinstance(given, dict):
        for key, value in list(given.items())[:FIELDS_MAX]:
            plain = value is None or isinstance(value, bool | int | float)
            fields[str(key)] = value if plain else _cut(str(value))
        event = str(record.msg)
    else:
        event = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        fields["exception"] = _cut(repr(record.exc_info[1]))
        fields["trace"] = "".join(traceback.format_exception(record.exc_info[1]))[-TRACE_CHARS_MAX:]
    name = record.name.removeprefix(f"{_ROOT}.")
    return stamp.replace("+00:00", "Z"), record.levelname.lower(), name, _cut(event), fields


def _cut(text: str) -> str:
    beyond = len(text) - VALUE_CHARS_MAX
    return f"{text[:VALUE_CHARS_MAX]}...(+{beyond})" if beyond > 0 else text


def _escaped(text: str) -> str:
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode() for c in text
    )


def _word(value: object) -> str:
    text = str(value)
    if text and text.isprintable() and not any(c in text for c in ' ="\\'):
        return text
    return '"' + _escaped(text).replace('"', '\\"') + '"'


def _line(text: str) -> bytes:
    data = text.encode("utf-8", "backslashreplace")
    if len(data) >= LINE_BYTES_MAX:
        data = data[: LINE_BYTES_MAX - 4] + b"..."
    return data + b"\n"


def _key(record: logging.LogRecord) -> str:
    return f"{record.name}:{record.msg}"


def _suppressed(event: str, count: int) -> logging.LogRecord:
    record = logging.LogRecord(f"{_ROOT}.log", logging.WARNING, "", 0, "log.suppressed", None, None)
    record.fields = {"of": event, "lines": count}
    return record
