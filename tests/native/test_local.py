"""Topics of one plane alone, through the skin: what is published reaches those who follow."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator

import pytest
from support.serving import until

from gateway._native import EVENT_LOCAL, LOCAL, LOCAL_TEXT_MAX, Plane, StatsPage
from gateway.codec.formats import JSON, LOCALS, SBE, programs
from gateway.model.record import CHANNELS_OWN

FORMATS = (JSON, SBE)
TIMEOUT_S = 60.0


@pytest.fixture
def plane(counted: StatsPage) -> Iterator[Plane]:
    made = Plane(formats=[programs(one) for one in FORMATS], locals=LOCALS, stats=counted)
    made.start()
    yield made
    made.stop()


class Follower:
    """A client that subscribed, and read its ack."""

    def __init__(self, plane: Plane, channel: str, form: int = 0) -> None:
        self.ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.theirs = theirs
        self.handle = plane.add(theirs.fileno(), b"", b"hello", format=form)
        plane.subscribe(self.handle, b"ack", (), [(1, LOCAL, channel, False, True, True, 0, 0, 0)])
        self.ours.settimeout(TIMEOUT_S)
        assert [self.read(), self.read()] == [b"hello", b"ack"]

    def read(self) -> bytes:
        head = self.ours.recv(2, socket.MSG_WAITALL)
        assert head[0] == 0x81, "text, whatever the format"
        length = head[1]
        if length == 126:
            length = int.from_bytes(self.ours.recv(2, socket.MSG_WAITALL))
        return self.ours.recv(length, socket.MSG_WAITALL)

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.mark.parametrize("form", range(len(FORMATS)))
def test_reports_are_told_as_the_protocol_says(plane: Plane, form: int) -> None:
    with contextlib.closing(Follower(plane, "health", form)) as one:
        for text, kind in ((b'{"n":1}', b"snapshot"), (b'{"n":2}', b"update")):
            plane.publish("health", text)
            before = b'{"channel":"health","type":"%s","ts_send":' % kind
            told = one.read()
            behind = re.escape(b',"data":[%s]}' % text)
            assert re.fullmatch(re.escape(before) + rb"\d{19}" + behind, told)
            stamp = int(told[len(before) :][:19])
            assert abs(time.time_ns() - stamp) < 60e9
        plane.remove(one.handle)
        until(lambda: not plane.followers("health"), TIMEOUT_S)
    with contextlib.closing(Follower(plane, "slo", form)) as one:
        plane.publish("health", b"of no interest here")
        plane.publish("slo", b'{"channel":"slo"}')
        assert one.read() == b'{"channel":"slo"}'
        plane.remove(one.handle)
        until(lambda: not plane.followers("slo"), TIMEOUT_S)


def test_the_first_and_the_last_are_told(plane: Plane) -> None:
    def changed() -> bool:
        return (EVENT_LOCAL, 0) in plane.events()

    assert plane.followers("slo") == 0
    with contextlib.closing(Follower(plane, "slo")) as one:
        until(changed, TIMEOUT_S)
        assert (plane.followers("slo"), plane.followers("health")) == (1, 0)
        plane.remove(one.handle)
        until(changed, TIMEOUT_S)
        assert plane.followers("slo") == 0


def test_each_channel_of_the_gateway_s_own_is_a_local_topic() -> None:
    assert list(LOCALS) == list(CHANNELS_OWN)


def test_what_cannot_be_published(plane: Plane, counted: StatsPage) -> None:
    with pytest.raises(KeyError):
        plane.publish("trade", b"x")
    with pytest.raises(KeyError):
        plane.followers("trade")
    with pytest.raises(ValueError, match=f"text of {LOCAL_TEXT_MAX + 1} bytes"):
        plane.publish("slo", b"x" * (LOCAL_TEXT_MAX + 1))
    plane.publish("slo", b"x" * LOCAL_TEXT_MAX)
    formats = [programs(FORMATS[0])]
    with pytest.raises(ValueError, match="5 local topics: at most 4"):
        Plane(formats=formats, locals=dict.fromkeys("abcde"), stats=counted)
    with pytest.raises(ValueError, match="between: 99 bytes"):
        Plane(formats=formats, locals={"a": (b"x", b"x", b"x" * 99, b"x")}, stats=counted)
    with pytest.raises(ValueError, match="name: 20 bytes"):
        Plane(formats=formats, locals={"x" * 20: None}, stats=counted)
