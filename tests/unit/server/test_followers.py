"""Reports to those who follow: a few at a time, never behind bytes that wait, none to the gone."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.model.record import CHANNELS_OWN
from gateway.server import followers as module
from gateway.server.followers import Followers


class Client:
    """Followers know no more of a connection than its handle."""

    def __init__(self, handle: int) -> None:
        self.handle = handle


class Plane:
    """Notes what is sent; clients of `blocked` have bytes waiting, for so many questions yet."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.blocked: dict[int, int] = {}

    def pending(self, handle: int) -> bool:
        left = self.blocked.get(handle, 0)
        self.blocked[handle] = left - 1
        return left > 0

    def send(self, handle: int, message: bytes) -> int:
        self.sent.append((handle, message))
        return 0


def message(report: str, first: bool) -> bytes:
    return f"{'first ' if first else ''}{report}".encode()


def frame(text: str) -> bytes:
    return text.encode()


class Rig:
    """Followers that run, with a plane that only notes."""

    def __init__(self) -> None:
        self.plane = Plane()
        self.changes: list[int] = []
        self.reports: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
        self.followers = Followers(self.plane, self.reports, message, self.changed)

    def changed(self) -> None:
        self.changes.append(len(self.followers))

    def come(self, count: int) -> list[Any]:
        clients = [Client(handle) for handle in range(count)]
        for client in clients:
            self.followers.add(client)
        return clients

    async def report(self, text: str) -> None:
        """One report, and as much time as it needs."""
        await self.reports.put(text)
        await self.rest()

    async def rest(self) -> None:
        before = -1
        while before != len(self.plane.sent) or not self.reports.empty():
            before = len(self.plane.sent)
            await asyncio.sleep(0.02)

    @property
    def handles(self) -> list[int]:
        return [handle for handle, _ in self.plane.sent]


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    monkeypatch.setattr(module, "SLICE_S", 0.001)
    rig = Rig()
    task = asyncio.create_task(rig.followers.run())
    yield rig
    task.cancel()


async def test_all_get_the_same_frame_once(rig: Rig) -> None:
    rig.come(200)
    await rig.report('{"n":1}')
    assert rig.handles == list(range(200))
    assert {sent for _, sent in rig.plane.sent} == {frame('first {"n":1}')}
    await rig.report('{"n":2}')
    assert {sent for _, sent in rig.plane.sent[200:]} == {frame('{"n":2}')}


async def test_what_is_repeated_goes_to_those_alone_that_have_not_had_it(rig: Rig) -> None:
    rig.come(3)
    rig.plane.blocked = {1: 1000}
    await rig.report("calm")
    rig.plane.blocked = {}
    await rig.report("calm")
    await rig.report("calm")
    assert rig.plane.sent == [(handle, frame("first calm")) for handle in (0, 2, 1)]


async def test_whoever_comes_later_need_not_wait_for_the_supervisor(rig: Rig) -> None:
    (one,) = rig.come(1)
    await rig.report("calm")
    other: Any = Client(7)
    rig.followers.add(other)
    await rig.rest()
    assert rig.plane.sent[1:] == [(7, frame("first calm"))]
    rig.followers.add(one)  # again: as if it were new
    await rig.rest()
    assert rig.plane.sent[2:] == [(0, frame("first calm"))]
    assert rig.changes == [1]


async def test_what_was_said_before_the_first_came_is_old(rig: Rig) -> None:
    (one,) = rig.come(1)
    await rig.report("calm")
    rig.followers.discard(one)
    await rig.report("storm")  # on its way when the last one left
    rig.followers.add(one)
    await rig.rest()
    assert len(rig.plane.sent) == 1
    assert rig.changes == [1, 0, 1]


def test_messages_of_each_channel() -> None:
    assert list(module.MESSAGES) == list(CHANNELS_OWN)
    assert module.slo_message('{"channel":"slo"}', True) == b'{"channel":"slo"}'
    for first, kind in ((True, "snapshot"), (False, "update")):
        told = json.loads(module.health_message('{"ready":true}', first))
        assert abs(time.time_ns() - told.pop("ts_send")) < 60e9
        assert told == {"channel": "health", "type": kind, "data": [{"ready": True}]}


def test_the_first_and_the_last_are_told_to_the_supervisor() -> None:
    rig = Rig()
    one, two = rig.come(2)
    rig.followers.discard(one)
    rig.followers.discard(one)
    rig.followers.discard(two)
    rig.followers.discard(two)
    assert rig.changes == [1, 0]


async def test_who_has_bytes_waiting_is_tried_again_and_then_left_out(rig: Rig) -> None:
    rig.come(3)
    rig.plane.blocked = {0: module.RETRIES, 2: 1000}
    await rig.report("old")
    assert rig.handles == [1, 0]
    rig.plane.blocked = {}
    await rig.report("new")
    assert sorted(rig.handles[2:]) == [0, 1, 2]


async def test_who_leaves_meanwhile_gets_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIENTS_PER_SLICE", 1)
    clients = rig.come(3)
    send = rig.plane.send

    def leave(handle: int, frames: bytes) -> int:
        rig.followers.discard(clients[2])
        return send(handle, frames)

    monkeypatch.setattr(rig.plane, "send", leave)
    await rig.report("{}")
    assert rig.handles == [0, 1]


async def test_a_newer_report_ends_the_tries_of_an_older_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.come(1)
    rig.plane.blocked = {0: 1}
    ask = rig.plane.pending

    def pending(handle: int) -> bool:
        waits = ask(handle)
        if waits:
            rig.reports.put_nowait("new")
        return waits

    monkeypatch.setattr(rig.plane, "pending", pending)
    await rig.report("old")
    assert rig.plane.sent == [(0, frame("first new"))]


async def test_a_report_that_fails_is_not_the_last(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    (client,) = rig.come(1)
    with monkeypatch.context() as broken:
        broken.setattr(rig.plane, "send", lambda *_: 1 // 0)
        await rig.report("one")
    await rig.report("two")
    assert rig.handles == [client.handle]
