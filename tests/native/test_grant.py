"""Rights through the skin: what is not granted is refused by name and covered by no pattern."""

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from support.serving import until

from gateway._native import (
    EVENT_FORBIDDEN,
    GRANTS_MAX,
    LOCAL,
    RULES_MAX,
    Plane,
    RingWriter,
    StatsPage,
)
from gateway.codec.formats import JSON, LOCALS, programs

if TYPE_CHECKING:
    from gateway._native import Row, Rule

TIMEOUT_S = 60.0
RULES: "list[Rule]" = [
    ("trade", "AX*", False),
    (None, "A*", True),
    ("trade", "S~*.SIM", True),
    (LOCAL, "slo", True),
]


@pytest.fixture
def plane(counted: StatsPage) -> Iterator[Plane]:
    made = Plane(formats=[programs(JSON)], locals=LOCALS, stats=counted)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ours.settimeout(TIMEOUT_S)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.threat("I1")
def test_what_is_not_granted_is_neither_named_nor_covered(
    plane: Plane, counted: StatsPage, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    writer = RingWriter(1 << 20, 64)
    names = ("A.SIM", "AX.SIM", "B.SIM", "S*.SIM", "SX.SIM")
    topics = [writer.topic("trade", name) for name in names]
    plane.attach(writer.fd)
    plane.grant(1, RULES)
    handle = plane.add(theirs.fileno(), b"", b"hello", grant=1)
    asked = ["B.SIM", "AX.SIM", "SX.SIM", "NONE.SIM", "A.SIM"]
    items = [(i, "trade", name, True, True, True, 0, 0, 0) for i, name in enumerate(asked)]
    items += [
        (10, "trade", "*", True, True, True, 0, 0, 0),
        (11, LOCAL, "slo", False, True, True, 0, 0, 0),
    ]
    items.append((12, LOCAL, "health", False, True, True, 0, 0, 0))
    plane.subscribe(handle, b"ack", (), items)
    refused: list[object] = []

    def all_refused() -> bool:
        refused.extend(event[2] for event in plane.events() if event[0] == EVENT_FORBIDDEN)
        return len(refused) == 5

    until(all_refused, TIMEOUT_S)
    assert refused == [0, 1, 2, 3, 12]
    assert counted.read()["forbidden"] == (5,)
    assert (plane.followers("slo"), plane.followers("health")) == (1, 0)
    later = writer.topic("trade", "AX2.SIM"), writer.topic("trade", "A2.SIM")
    rows: list[Row] = [(topic, 1, "1", "1", None, "x") for topic in (*topics, *later)]
    writer.publish(rows, 1, 1)
    seen = b""
    while seen.count(b'"symbol":') < 3:
        seen += ours.recv(65536)
    for name in ("A.SIM", "S*.SIM", "A2.SIM"):
        assert seen.count(b'"symbol":"%s"' % name.encode()) == 1
    plane.remove(handle)
    writer.close()


def test_a_grant_that_cannot_be(plane: Plane, pair: tuple[socket.socket, socket.socket]) -> None:
    for number in (0, GRANTS_MAX):
        with pytest.raises(ValueError, match=f"grant {number}"):
            plane.grant(number, RULES)
    with pytest.raises(ValueError, match=f"{RULES_MAX + 1} rules"):
        plane.grant(1, [(None, "*", True)] * (RULES_MAX + 1))
    with pytest.raises(ValueError, match="name of 0 bytes"):
        plane.grant(1, [(None, "", True)])
    with pytest.raises(KeyError):
        plane.grant(1, [("nothing", "*", True)])
    with pytest.raises(ValueError, match="out of bounds"):  # it was never loaded
        plane.add(pair[1].fileno(), b"", b"", grant=1)
    plane.grant(1, [])
    handle = plane.add(pair[1].fileno(), b"", b"", grant=1)
    with pytest.raises(ValueError, match="grant 1 is in use"):
        plane.grant(1, RULES)
    plane.remove(handle)
    until(plane.events, TIMEOUT_S)
    plane.grant(1, RULES)
