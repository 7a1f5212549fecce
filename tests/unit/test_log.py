import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]


def lines_of(style: str, write_some: Callable[[], None]) -> list[bytes]:
    lines: list[bytes] = []
    handler = log.configure("test", style, "debug", lines.append)  # type: ignore[arg-type]
    write_some()
    handler.stop()
    return lines


def test_a_text_line_has_event_and_fields() -> None:
    logger = log.get("server")
    (line,) = lines_of("text", lambda: logger.info("client.closed", code=1002, reason="bad bits"))
    words = line.decode().split(maxsplit=5)
    assert words[1:5] == ["info", "test", "server", "client.closed"]
    assert words[5] == 'code=1002 reason="bad bits"\n'


def test_a_json_line_is_an_object() -> None:
    logger = log.get("server")
    (line,) = lines_of("json", lambda: logger.warning("x.y", n=1, ok=True, what=None, text="é"))
    entry = json.loads(line)
    assert entry.items() >= {"level": "warning", "process": "test", "event": "x.y"}.items()
    assert (entry["n"], entry["ok"], entry["what"], entry["text"]) == (1, True, None, "é")
    assert line.isascii()


@pytest.mark.parametrize("style", ["text", "json"])
def test_f59_values_from_outside_cannot_forge_lines(style: str) -> None:
    evil = "a\r\nb \x1b[31m\x9b2J\u202e\x7f\u2028" + "A" * 10_000
    logger = log.get("server")
    (line,) = lines_of(style, lambda: logger.info("handshake.refused", path=evil, agent=evil))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    text = line[:-1].decode()
    assert text.isprintable()
    assert len(line) < 2 * (log.VALUE_CHARS_MAX + 100) + 200


def test_f59_a_forged_field_stays_inside_its_quotes() -> None:
    logger = log.get("server")
    (line,) = lines_of("text", lambda: logger.info("e", a='x" level=error b="'))
    assert line.endswith(b'a="x\\" level=error b=\\""\n')


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_exception_is_one_line_with_its_trace(style: str) -> None:
    def fail() -> None:
        try:
            raise ValueError("bad\nnews")
        except ValueError:
            log.get("server").exception("task.crashed", task="accept")

    (line,) = lines_of(style, fail)
    assert line.count(b"\n") == 1
    assert b"ValueError" in line
    assert b"test_log.py" in line


def test_a_librarys_line_comes_out_the_same_way() -> None:
    (line,) = lines_of("json", lambda: logging.getLogger("other").warning("%s went\n", "it"))
    assert json.loads(line).items() >= {"logger": "other", "event": "it went\n"}.items()


def test_repeats_are_limited_and_counted() -> None:
    logger = log.get("server")

    def flood() -> None:
        for n in range(1000):
            logger.info("same", n=n)

    lines = lines_of("json", flood)
    entries = [json.loads(line) for line in lines]
    assert [e["n"] for e in entries[:-1]] == list(range(log.REPEATS_PER_S))
    assert entries[-1]["event"] == "log.suppressed"
    assert entries[-1]["lines"] == 1000 - log.REPEATS_PER_S


def test_repeat_windows_end_after_a_second() -> None:
    limiter = log.RepeatLimiter(per_s=2)
    assert [limiter.allow("e", 0.1 * n) for n in range(5)] == [True, True, False, False, False]
    assert limiter.expire(0.9) == []
    assert limiter.expire(1.1) == [("e", 3)]
    assert limiter.allow("e", 1.2)
    assert limiter.expire(9.0) == []


@pytest.mark.threat("R4")
def test_f56_a_blocked_pipe_costs_lines_and_no_time() -> None:
    release = threading.Event()
    handler = log.configure("test", "text", "debug", lambda _: release.wait(60))
    started = time.monotonic()
    loggers = [log.get(f"part{n}") for n in range(400)]
    for logger in loggers:
        for _ in range(log.REPEATS_PER_S):
            logger.info("event", value="x" * 300)
    assert time.monotonic() - started < 30
    assert handler.dropped >= 4000 - log.QUEUE_RECORDS_MAX - 1
    release.set()
    handler.stop()


def test_f56_a_full_disk_is_counted_and_survived() -> None:
    written: list[bytes] = []
    full = True

    def write(data: bytes) -> None:
        if full:
            raise OSError(28, "No space left on device")
        written.append(data)

    handler = log.configure("test", "text", "debug", write)
    log.get("server").info("lost")
    deadline = time.monotonic() + 5
    while handler.dropped == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    full = False
    log.get("server").info("kept")
    handler.stop()
    assert handler.dropped == 1
    assert [b"kept" in line for line in written] == [True]


def test_a_pipe_is_opened_where_somebody_reads_it_and_never_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    os.mkfifo(path)
    with pytest.raises(OSError, match="No such device or address"):
        log.LogFile(str(path))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = log.LogFile(str(path))
    file.reopen()
    file.write(b"a line\n")
    assert os.read(reader, 100) == b"a line\n"
    os.close(reader)


def test_stopping_does_not_wait_for_a_reader_that_never_comes() -> None:
    release = threading.Event()
    handler = log.configure("test", "text", "debug", lambda _: release.wait(60))
    log.get("server").info("event")
    started = time.monotonic()
    handler.stop(timeout_s=0.2)
    assert time.monotonic() - started < 30
    release.set()


def test_refused_origins_are_told_seldom_and_counted() -> None:
    now_s = 0.0
    told: list[tuple[str, dict[str, object]]] = []

    class Told(log.Logger):
        def warning(self, event: str, **fields: object) -> None:
            told.append((event, fields))

    refused = log.RefusedOrigins(Told("x"), clock=lambda: now_s)
    for number in range(50):
        refused.note(f"https://{number}.test", "192.0.2.1")
    now_s = log.ORIGINS_INTERVAL_S
    refused.note("https://last.test", "192.0.2.2")
    assert [event for event, _ in told] == ["origin.refused"] * 2
    assert [fields["origin"] for _, fields in told] == ["https://0.test", "https://last.test"]
    assert [fields["more_since_last"] for _, fields in told] == [0, 49]
