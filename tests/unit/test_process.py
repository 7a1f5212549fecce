"""What a child process tells its supervisor, and what it makes of what it is told."""

import asyncio
import io
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import msgspec
import pytest
from support.starts import started

from gateway import log
from gateway.feeds.options import FEEDS_MAX
from gateway.feeds.refusals import TALLIED_MAX
from gateway.latency.stalls import RECENT_MAX
from gateway.model.outcomes import REFUSALS
from gateway.model.status import FeedStatus, LastRefused, StallRow, Status, Vitals
from gateway.process import BEGIN_S, Inbox, brief, until_begun
from gateway.supervisor.channel import Received, fits
from gateway.supervisor.messages import Failed, Ready, Reload, Report, Segment, decode, encode

WIDE = "\u5e01"  # three bytes in UTF-8
LAST = LastRefused(
    symbol=WIDE * 97,
    channel="trade",
    field="price",
    value="x" * 80,
    reason="limit",
    why="y" * 80,
    at_ns=2**62,
)
LONGEST = FeedStatus(
    name="replay:" + "V" * 16,
    type="replay",
    venue="V" * 16,
    state="failed",
    **dict.fromkeys(
        ("records", "decode_errors", "gaps", "lost", "duplicates", "late", "resets", "skipped"),
        2**62,
    ),
    reconnects=2**62,
    last_record_ns=2**62,
    message=WIDE * 400,
    refused=dict.fromkeys(REFUSALS, 2**62),
    refused_symbols={f"{n}{WIDE * 80}.SIM": 2**62 for n in range(TALLIED_MAX)},
    last_refused=LAST,
)


def test_the_status_of_as_many_feeds_as_may_be_fits_once_it_is_brief() -> None:
    assert not fits(Status(feeds=(LONGEST,) * FEEDS_MAX)), "or there is nothing to make brief"
    short = brief(LONGEST)
    stall = StallRow(ts=2**62, kind="process", ms=1e9, words="x" * 130)
    vitals = Vitals(stalls=(stall,) * RECENT_MAX)
    assert fits(Status(vitals=vitals, feeds=(short,) * FEEDS_MAX))
    assert (short.state, short.records, short.message) == ("failed", 2**62, WIDE * 100)
    assert not {"refused", "refused_symbols"} & msgspec.to_builtins(short).keys()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    handler = log.LogHandler("test", "text", io.BytesIO().write)
    yield Inbox(handler)
    handler.stop()


def refused(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    fields = [one.__dict__["fields"] for one in caplog.records if one.message == "message.refused"]
    return [(one["type"], one["problem"]) for one in fields]


def test_a_report_goes_to_who_takes_them(inbox: Inbox) -> None:
    taken: list[tuple[str, str]] = []
    inbox.take(Received(Report(channel="slo", text="early")))
    inbox.reports(lambda channel, text: taken.append((channel, text)))
    inbox.take(Received(Report(channel="slo", text="one")))
    inbox.take(Received(Report(channel="health", text="two")))
    assert taken == [("slo", "one"), ("health", "two")]


def test_of_configurations_the_newest_waits(inbox: Inbox) -> None:
    for level in ("debug", "info"):
        raw = msgspec.Raw(b'{"log":{"level":"%s"}}' % level.encode())
        inbox.take(Received(Reload(config=raw)))
    inbox.take(Received(Segment(epoch="abc"), (7,)))
    assert (inbox.configs.get_nowait().log.level, inbox.configs.qsize()) == ("info", 0)
    assert inbox.segments.get_nowait() == ("abc", 7)


def test_what_a_child_has_no_use_for_is_logged(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    inbox.take(Received(Ready()))
    inbox.take(Received(Report(channel="bogus", text="")))
    inbox.take(Received(Reload(config=msgspec.Raw(b'{"listen":{"port":"x"}}'))))
    first, second, third = refused(caplog)
    assert (first[0], second[0], third[0]) == ("ready", "report", "reload")
    assert "`$.listen.port`" in third[1]
    assert inbox.configs.empty(), "what was in force stays"


@pytest.mark.parametrize(
    ("first", "exit_code", "words"),
    [
        (b'{"type":"start_worker","index":"x"}', 1, ("'start_worker'", "`$.index`")),
        (b'{"type":"start"}', 1, ("'start'", "`$.type`")),
        (b'{"type":"reopen"}', 1, ("'reopen'",)),
        (
            encode(msgspec.structs.replace(started(), config=msgspec.Raw(b'{"log":{"level":7}}'))),
            78,
            ("configuration", "`$.log.level`"),
        ),
    ],
)
def test_a_child_that_cannot_read_its_first_message_says_why(
    first: bytes, exit_code: int, words: tuple[str, ...]
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(first)
        command = [sys.executable, "-P", "-m", "gateway.process", "worker", str(theirs.fileno())]
        ended = subprocess.run(command, pass_fds=[theirs.fileno()], timeout=30, check=False)
        message = decode(ours.recv(1 << 16))
    assert isinstance(message, Failed)
    assert (ended.returncode, message.exit) == (exit_code, exit_code)
    for word in words:
        assert word in message.message


class Beginning:
    """A feed that is connecting for as many looks as it is given."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def statistics(self) -> SimpleNamespace:
        self.left -= 1
        return SimpleNamespace(state="connecting" if self.left >= 0 else "up")


async def test_a_feed_process_waits_until_its_feeds_have_begun() -> None:
    feeds = Beginning(0), Beginning(5), Beginning(2)
    await until_begun(asyncio.Event(), feeds)  # type: ignore[arg-type]
    assert all(feed.left < 0 for feed in feeds)


async def test_a_feed_that_does_not_begin_keeps_nobody_waiting_for_ever() -> None:
    feed, drain, begun_s = Beginning(1 << 60), asyncio.Event(), time.monotonic()
    await until_begun(drain, [feed])  # type: ignore[list-item]
    assert time.monotonic() - begun_s >= BEGIN_S
    drain.set()
    before = feed.left
    await until_begun(drain, [feed])  # type: ignore[list-item]
    assert feed.left == before
