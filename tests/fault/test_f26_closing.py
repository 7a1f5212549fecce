"""Rows 26 and 27: clients that do not let go, and floods of control frames."""

import pytest
from support.serving import Metrics, Serving, descriptors, until
from support.target import CONTROL_FRAMES_PER_S
from support.wire import PING, PONG, TEXT, Wire, close, connected, frame, subscribe, text

SUBSCRIBE = subscribe(["*"])


def test_f26_data_after_close_is_ignored(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        wire.send(close(1000, b"done"), SUBSCRIBE, text("{"), frame(PING, b"x"), close(1001))
        assert wire.closed() == (1000, "done")
        wire.send_anyway(SUBSCRIBE + frame(TEXT, b"x", masked=False))
    gateway.rises(before, "closes_total", "1000")
    assert gateway.metrics().of("subscriptions") == before.of("subscriptions")


@pytest.mark.parametrize(
    ("code", "data"),
    [
        pytest.param(1002, frame(TEXT, b"x", masked=False), id="we closed"),
        pytest.param(1000, close(1000), id="the client closed"),
    ],
)
def test_f26_one_that_never_hangs_up_is_cut_off(
    gateway: Serving, before: Metrics, code: int, data: bytes
) -> None:
    worker = gateway.pid()
    held = descriptors(worker)
    with connected(gateway.url) as wire:
        wire.send(data)
        assert wire.closed()[0] == code
        gateway.rises(before, "close_timeouts_total")
        until(lambda: descriptors(worker) <= held)
    gateway.rises(before, "closes_total", str(code))


def test_f26_one_that_talks_on_is_cut_off(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        wire.send(close(1000))
        with pytest.raises(ConnectionError):
            wire.send(SUBSCRIBE * 300_000)
    gateway.rises(before, "close_timeouts_total")
    gateway.rises(before, "closes_total", "1000")


@pytest.mark.parametrize("way", ["end", "reset"])
def test_f26_one_that_leaves_without_a_word(gateway: Serving, before: Metrics, way: str) -> None:
    with connected(gateway.url) as wire:
        wire.send(SUBSCRIBE)
        wire.reply()
        getattr(wire, way)()
        gateway.rises(before, "closes_total", "1006")


def pongs(wire: Wire, last: bytes) -> int:
    """How many pongs come until the one with this payload."""
    count = 0
    while True:
        one = wire.frame()
        if one.opcode == PONG:
            count += 1
            if one.payload == last:
                return count


def test_f27_a_ping_is_answered_with_its_payload(gateway: Serving) -> None:
    with connected(gateway.url) as wire:
        for payload in (b"", b"x", b"\x00\xff" * 62, b"y" * 125):
            wire.send(frame(PING, payload))
            assert pongs(wire, payload) == 1


def test_f27_each_ping_is_answered(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        count = CONTROL_FRAMES_PER_S // 2
        wire.send(*(frame(PING, b"%d" % number) for number in range(count)))
        assert pongs(wire, b"%d" % (count - 1)) == count
        gateway.rises(before, "control_frames_total", by=count)


@pytest.mark.parametrize("opcode", [PING, PONG])
@pytest.mark.threat("D5")
def test_f27_flood_of_control_frames(gateway: Serving, before: Metrics, opcode: int) -> None:
    with connected(gateway.url) as wire:
        wire.send_anyway(frame(opcode, b"x") * 20_000)
        answered = wire.ended()
        assert answered.count(b"\x8a\x01x") < CONTROL_FRAMES_PER_S
    gateway.rises(before, "closes_total", "4029")


def test_f27_the_reason_names_the_limit(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        wire.send(frame(PING, b"x") * (CONTROL_FRAMES_PER_S * 3))
        code, reason = wire.closed()
        assert code == 4029
        assert str(CONTROL_FRAMES_PER_S) in reason
    gateway.rises(before, "closes_total", "4029")
