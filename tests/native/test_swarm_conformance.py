"""RFC 6455 from a server to the swarm: the cases that our own client is held to, each sent to a
client of the swarm, in one write and byte by byte.
"""

import asyncio

import pytest
from support.from_server import MESSAGE_BYTES_MAX, SERVER_CASES
from support.swarm import MEASURED, PATIENCE_NS, counter, drive, swarm
from support.swarm_server import Peer, SwarmServer
from support.wire import CLOSE, frame

CASES = [case for case in SERVER_CASES if case.swarm is not None]
LAST = frame(CLOSE, (4321).to_bytes(2), masked=False)
"""Ends those that stay open."""
CUT_BYTES_MAX = 40
"""Streams of up to so many bytes are sent byte by byte."""


@pytest.mark.parametrize("bytewise", [False, True])
def test_each_case_ends_as_it_must(bytewise: bool) -> None:
    cases = [case for case in CASES if not bytewise or sum(map(len, case.frames)) <= CUT_BYTES_MAX]

    async def script(peer: Peer) -> None:
        whole = b"".join(cases[peer.index].frames) + LAST
        for piece in (whole[at : at + 1] for at in range(len(whole))) if bytewise else (whole,):
            await peer.send(piece)
            await asyncio.sleep(0)

    with SwarmServer(script) as server:
        client = swarm(server, [MEASURED], each=len(cases), frame_bytes_max=MESSAGE_BYTES_MAX)
        client.connect(PATIENCE_NS)  # some are gone when all are there
        drive(client, lambda: counter(client, "closed") == len(cases))
        drive(client, lambda: all(peer.ended for peer in server.peers))
        messages = sum(len(case.messages) for case in cases if case.swarm == case.code)
        failed = [case.swarm for case in cases if not case.goodbye]
        assert counter(client, "frames") == messages
        assert counter(client, "protocol_errors") == failed.count(1002)
        assert counter(client, "oversized") == failed.count(1009)
        client.close()
        told = {case.name: peer for case, peer in zip(cases, server.peers, strict=True)}
    for case in cases:
        code = {0: 4321, 1005: 0}.get(case.swarm or 0, case.swarm)
        # Where more comes after the end the kernel resets the connection; the frame may be lost.
        lost = [] if case.swarm else [code]
        assert told[case.name].closes in ([code], lost), case.name
        assert case.pongs <= {*told[case.name].pongs}, case.name
