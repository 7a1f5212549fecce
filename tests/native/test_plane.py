"""The plane through the skin: what its clients may ask for, and how messages to them are framed."""

import socket

import pytest
from support.planes import added, close

from gateway._native import Plane, StatsPage
from gateway.codec.formats import JSON, programs

WHOLE = programs(JSON)


def test_clients_subscribe_to_what_their_format_has_alone(counted: StatsPage) -> None:
    records, notices = WHOLE
    trades = {key: program for key, program in records.items() if key[0] == "trade"}
    plane = Plane(formats=[WHOLE, (trades, notices)], stats=counted, clients_max=4)
    pairs = [list(socket.socketpair()) for _ in range(2)]
    ours, theirs = (
        plane.add(pair[0].fileno(), b"", None, format=index) for index, pair in enumerate(pairs)
    )
    trade = [(0, "trade", "A.B", True, True, True, 0, 0, 0)]
    bbo = [(1, "bbo", "A.B", False, True, True, 0, 0, 0)]
    assert plane.subscribe(ours, None, (), bbo) == 0
    assert plane.subscribe(theirs, None, (), trade) == 0
    with pytest.raises(ValueError, match="out of bounds"):
        plane.subscribe(theirs, None, (), bbo)
    plane.stop()
    for pair in pairs:
        close(pair)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_message_is_framed_by_its_length(counted: StatsPage, size: int) -> None:
    plane = Plane(formats=[WHOLE], stats=counted, clients_max=4, control_bytes_max=256 << 10)
    plane.start()
    handle, (ours, theirs) = added(plane)
    assert plane.send(handle, b"x" * size) == 0
    if size < 126:
        head = bytes((0x81, size))
    else:
        head = b"\x81\x7e" + size.to_bytes(2) if size < 1 << 16 else b"\x81\x7f" + size.to_bytes(8)
    theirs.settimeout(5)
    expected = b"\x81\0" + head + b"x" * size  # behind the empty hello
    got = b""
    while len(got) < len(expected):
        got += theirs.recv(1 << 16)
    assert got == expected
    plane.stop()
    close([ours, theirs])
