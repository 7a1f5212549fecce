"""Rows 14 to 25 over sockets: what frames that no client may send do to a gateway that runs.

Every such frame is in `unit/wire/test_frames.py`; here is one of each row, in the books too, and
what takes time or memory.
"""

import time

import pytest
from support.serving import Metrics, Serving, resident_bytes
from support.target import (
    FRAGMENTS_MAX,
    MESSAGE_BYTES_MAX,
    MESSAGE_TIMEOUT_S,
)
from support.wire import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    TEXT,
    Wire,
    close,
    connected,
    frame,
    subscribe,
    text,
)

ASK = {"method": "ping", "req_id": 5}


def ends(gateway: Serving, before: Metrics, code: int, *data: bytes) -> str:
    """Sends this; the connection ends with this code, on the wire and in the books. The reason."""
    with connected(gateway.url) as wire:
        wire.send_anyway(b"".join(data))
        said, reason = wire.closed()
        assert said == code, reason
    gateway.rises(before, "closes_total", str(code))
    return reason


@pytest.mark.parametrize("opcode", [TEXT, CLOSE])
def test_f14_unmasked_frame(gateway: Serving, before: Metrics, opcode: int) -> None:
    assert ends(gateway, before, 1002, frame(opcode, b"{}", masked=False))


@pytest.mark.parametrize(("opcode", "rsv"), [(TEXT, 4), (PING, 1)])
def test_f15_reserved_bits(gateway: Serving, before: Metrics, opcode: int, rsv: int) -> None:
    assert ends(gateway, before, 1002, frame(opcode, b"\x03\xe8", rsv=rsv))


@pytest.mark.parametrize("opcode", [3, 11])
def test_f16_reserved_opcode(gateway: Serving, before: Metrics, opcode: int) -> None:
    assert ends(gateway, before, 1002, frame(opcode, b"x"))


def test_f17_long_control_frame(gateway: Serving, before: Metrics) -> None:
    assert ends(gateway, before, 1002, frame(PING, b"\x03\xe8" + b"x" * 124))


def test_f17_fragmented_control_frame(gateway: Serving, before: Metrics) -> None:
    assert ends(gateway, before, 1002, frame(CLOSE, b"\x03\xe8", fin=False))


@pytest.mark.parametrize("fin", [True, False])
def test_f18_continuation_of_nothing(gateway: Serving, before: Metrics, fin: bool) -> None:
    assert ends(gateway, before, 1002, frame(CONT, b"x", fin=fin))


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_f18_new_message_inside_another(gateway: Serving, before: Metrics, opcode: int) -> None:
    assert ends(gateway, before, 1002, frame(TEXT, b"{", fin=False), frame(opcode, b"}"))


def test_f18_continuation_after_the_end(gateway: Serving, before: Metrics) -> None:
    whole = frame(TEXT, b"[", fin=False) + frame(CONT, b"]")
    assert ends(gateway, before, 1002, whole, frame(CONT, b"x"))


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [(1 << 63) + 5, (1 << 64) - 1, 1 << 31])
@pytest.mark.threat("D3")
def test_f19_huge_length_is_refused_from_the_header(
    gateway: Serving, before: Metrics, opcode: int, length: int
) -> None:
    """CVE-2026-27889: a length with its top bit set."""
    used = resident_bytes(gateway.pid())
    assert ends(gateway, before, 1009, frame(opcode, b"", length=length, width=8))
    assert resident_bytes(gateway.pid()) - used < 16 << 20


def test_f19_top_bit_in_a_control_frame(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        wire.send(frame(PING, b"", length=1 << 63, width=8))
        assert wire.closed()[0] in (1002, 1009)


@pytest.mark.parametrize("width", [2, 8])
def test_f20_longer_length_than_needed_is_read_as_what_it_says(
    gateway: Serving, width: int
) -> None:
    with connected(gateway.url) as wire:
        wire.send(frame(TEXT, b'{"method":"ping","req_id":9}', width=width))
        assert wire.reply()["req_id"] == 9


def padded(size: int) -> bytes:
    """A request of this many bytes."""
    start = b'{"method":"ping","req_id":3'
    return start + b" " * (size - len(start) - 1) + b"}"


def test_f21_as_large_as_may_be(gateway: Serving) -> None:
    half = MESSAGE_BYTES_MAX // 2
    whole = padded(MESSAGE_BYTES_MAX)
    with connected(gateway.url) as wire:
        wire.send(frame(TEXT, whole))
        assert wire.reply()["req_id"] == 3
        wire.send(frame(TEXT, whole[:half], fin=False), frame(CONT, whole[half:]))
        assert wire.reply()["req_id"] == 3


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_f21_one_byte_too_large(gateway: Serving, before: Metrics, opcode: int) -> None:
    assert ends(gateway, before, 1009, frame(opcode, padded(MESSAGE_BYTES_MAX + 1)))


def test_f21_too_large_in_all(gateway: Serving, before: Metrics) -> None:
    part = b" " * (MESSAGE_BYTES_MAX // 4)
    start = frame(TEXT, part, fin=False)
    more = [frame(CONT, part, fin=False)] * 3
    assert ends(gateway, before, 1009, start, *more, frame(CONT, b" "))


def test_f21_refused_before_the_payload_comes(gateway: Serving, before: Metrics) -> None:
    assert ends(gateway, before, 1009, frame(TEXT, b"", length=MESSAGE_BYTES_MAX + 1, width=8))


def fragments(payloads: list[bytes]) -> bytes:
    last = len(payloads) - 1
    return b"".join(
        frame(CONT if index else TEXT, payload, fin=index == last)
        for index, payload in enumerate(payloads)
    )


def test_f22_as_many_fragments_as_may_be(gateway: Serving) -> None:
    whole = padded(FRAGMENTS_MAX)
    with connected(gateway.url) as wire:
        wire.send(fragments([whole[at : at + 1] for at in range(FRAGMENTS_MAX)]))
        assert wire.reply()["req_id"] == 3


@pytest.mark.parametrize("payload", [b" ", b""])
def test_f22_one_fragment_too_many(gateway: Serving, before: Metrics, payload: bytes) -> None:
    assert ends(gateway, before, 1009, fragments([payload] * (FRAGMENTS_MAX + 1)))


@pytest.mark.parametrize("payload", [b" ", b""])
@pytest.mark.threat("D4")
def test_f22_two_hundred_thousand_tiny_fragments(
    gateway: Serving, before: Metrics, payload: bytes
) -> None:
    """CVE-2026-48779: tiny fragments, none of them the last."""
    used = resident_bytes(gateway.pid())
    one = frame(CONT, payload, fin=False)
    with connected(gateway.url) as wire:
        wire.send_anyway(frame(TEXT, payload, fin=False) + one * 200_000)
        wire.ended()
    gateway.rises(before, "closes_total", "1009")
    assert resident_bytes(gateway.pid()) - used < 16 << 20


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(frame(TEXT, b"{", fin=False), id="a fragment"),
        pytest.param(text(ASK) + frame(TEXT, b"x")[:1], id="a message and half a header"),
        pytest.param(frame(PING) + frame(CLOSE, b"xx")[:3], id="a ping and half a close"),
    ],
)
@pytest.mark.threat("D4")
def test_f23_a_message_held_open(gateway: Serving, before: Metrics, start: bytes) -> None:
    assert "not finished" in ends(gateway, before, 1008, start)


def test_f23_held_open_by_dribbling(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        end_s = time.monotonic() + MESSAGE_TIMEOUT_S * 1.5
        for byte in frame(TEXT, b"x" * 10_000):
            wire.send_anyway(bytes((byte,)))
            time.sleep(0.02)
            if time.monotonic() > end_s:
                break
        assert wire.closed()[0] == 1008
    gateway.rises(before, "closes_total", "1008")


def test_f23_held_open_with_pings_between(gateway: Serving, before: Metrics) -> None:
    with connected(gateway.url) as wire:
        wire.send(frame(TEXT, b"{", fin=False))
        end_s = time.monotonic() + MESSAGE_TIMEOUT_S * 1.5
        while time.monotonic() < end_s:
            wire.send_anyway(frame(PING, b"still here"))
            time.sleep(0.05)
        assert wire.closed()[0] == 1008
    gateway.rises(before, "closes_total", "1008")


def test_f23_finished_messages_start_no_clock(gateway: Serving) -> None:
    """Reads that end inside of a frame, for longer than the deadline: each is finished in time."""
    whole = text(ASK)
    with connected(gateway.url) as wire:
        wire.send(whole[:9])
        end_s = time.monotonic() + MESSAGE_TIMEOUT_S * 1.5
        while time.monotonic() < end_s:
            wire.send(whole[9:] + whole[:9])
            assert wire.reply()["req_id"] == 5
            time.sleep(0.1)
        wire.send(whole[9:])
        assert wire.reply()["req_id"] == 5


@pytest.mark.parametrize("payloads", [[b"\xff"], [b"\xe2", b"\x82", b""]])
def test_f24_no_utf8(gateway: Serving, before: Metrics, payloads: list[bytes]) -> None:
    assert "UTF-8" in ends(gateway, before, 1007, fragments(payloads))


def test_f24_no_utf8_in_an_unfinished_message_fails_at_once(
    gateway: Serving, before: Metrics
) -> None:
    assert ends(gateway, before, 1007, frame(TEXT, b"\xff", fin=False))


def test_f24_characters_may_be_cut_by_fragments(gateway: Serving) -> None:
    whole = '{"method":"ping","req_id":"\u20ac\U0001f600"}'.encode()
    with connected(gateway.url) as wire:
        wire.send(fragments([whole[at : at + 1] for at in range(len(whole))]))
        assert wire.reply()["req_id"] == "\u20ac\U0001f600"


@pytest.mark.parametrize("code", [0, 1005, 5000])
def test_f25_no_close_code(gateway: Serving, before: Metrics, code: int) -> None:
    assert ends(gateway, before, 1002, close(code))


def test_f25_half_a_close_code(gateway: Serving, before: Metrics) -> None:
    assert ends(gateway, before, 1002, frame(CLOSE, b"\x03"))


def test_f25_close_reason_that_is_no_utf8(gateway: Serving, before: Metrics) -> None:
    assert ends(gateway, before, 1007, close(1000, b"\xff"))


@pytest.mark.parametrize("code", [1000, 1011])
def test_f25_a_good_close_is_echoed(gateway: Serving, before: Metrics, code: int) -> None:
    assert ends(gateway, before, code, close(code, b"bye")) == "bye"


@pytest.mark.parametrize("code", [3000, 4999])
def test_f25_the_clients_own_codes_are_echoed(gateway: Serving, before: Metrics, code: int) -> None:
    with connected(gateway.url) as wire:
        wire.send(close(code, b"x" * 123))
        assert wire.closed() == (code, "x" * 123)
    gateway.rises(before, "closes_total", "1000")


def test_f25_close_without_a_code(gateway: Serving, before: Metrics) -> None:
    assert ends(gateway, before, 1005, close(None)) == ""


def test_f25_close_inside_a_message(gateway: Serving, before: Metrics) -> None:
    assert ends(gateway, before, 1000, frame(TEXT, b"{", fin=False), close(1000)) == ""


@pytest.mark.parametrize("opcode", [BINARY])
def test_f32_binary_frame(gateway: Serving, before: Metrics, opcode: int) -> None:
    assert "text" in ends(gateway, before, 1003, frame(opcode, b'{"method":"ping"}'))


def test_f32_fragment_of_a_binary_message(gateway: Serving, before: Metrics) -> None:
    assert ends(gateway, before, 1003, frame(BINARY, b"x", fin=False))


def test_f14_the_first_fault_is_the_one_that_counts(gateway: Serving, before: Metrics) -> None:
    """What the wire says and what the books say is the same, however much is wrong at once."""
    wrong = frame(BINARY, b"x") + frame(TEXT, b"x", masked=False) + close(1000)
    assert ends(gateway, before, 1003, wrong)


def test_f14_what_came_before_the_fault_is_answered(gateway: Serving, before: Metrics) -> None:
    with Wire(gateway.url) as wire:
        wire.open()
        wire.send(subscribe(["SYM001.SIM"]), text(ASK), frame(TEXT, b"x", masked=False))
        assert wire.message()["method"] == "subscribe"
        assert wire.reply()["req_id"] == 5
        assert wire.closed()[0] == 1002
    gateway.rises(before, "closes_total", "1002")
