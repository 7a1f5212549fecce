"""The lines of some symbols by a manual clock: when one is opened, replaced, waited for."""

import asyncio
import json
from itertools import pairwise

import pytest

from gateway.feeds.live.binance import FACTS, Binance
from gateway.feeds.live.pace import Pace
from gateway.feeds.live.shard import Line, Shard
from gateway.feeds.live.socket import Ended, Messages, NotOpened

FACTS_NOW = FACTS["spot"]._replace(
    messages_per_s=100.0,
    connects_per_s=100.0,
    ping_s=1e6,
    reply_s=5.0,
    first_data_s=20.0,
    stall_s=60.0,
    age_s=10_000.0,
)


class Opened:
    """A connection that confirms what it is asked for, and says nothing else unless told to."""

    gone = False

    def __init__(self, world: "World", at_s: float) -> None:
        self.ended: Ended | None = None
        self.at_s = at_s
        self.world = world
        self.line: Line | None = None

    def send(self, text: str) -> None:
        assert self.line is not None
        number = json.loads(text)["id"]
        reply = b'{"result":null,"id":%d}' % number
        self.line.session.control(reply, self.world.now_s)

    def close(self, why: str) -> None:
        self.ended = Ended(why)

    def abort(self) -> None:
        self.gone = True


class World:
    """A shard, its connections, and a clock."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.opened: list[Opened] = []
        self.lost: list[str] = []
        self.refuse: NotOpened | None = None
        venue = Binance("spot", ("trade",))
        venue.facts = FACTS_NOW
        self.shard = Shard(
            *("binance:X", 0, venue, self._open, lambda line, messages: None),  # type: ignore[arg-type]
            lambda shard, why: self.lost.append(why),
            Pace(100.0, 100),
        )
        self.shard.add("A")

    async def _open(self, heard: Messages) -> Opened:
        if self.refuse is not None:
            raise self.refuse
        one = Opened(self, self.now_s)
        one.line = heard.args[0]  # type: ignore[attr-defined]
        self.opened.append(one)
        return one

    async def turn(self, seconds: float, step_s: float = 1.0, data: bool = False) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += step_s
            if data:
                for one in self.opened:
                    assert one.line is not None
                    one.line.session.data(self.now_s)
            self.shard.step(self.now_s)
            await asyncio.sleep(0)

    @property
    def open(self) -> list[Opened]:
        return [one for one in self.opened if one.ended is None]


@pytest.fixture
async def world() -> World:
    world = World()
    await world.turn(5)
    assert world.shard.up
    return world


async def test_a_silent_market_is_suspected_half_as_often_each_time(world: World) -> None:
    await world.turn(1000)
    times = [one.at_s for one in world.opened]
    pauses = [later - before for before, later in pairwise(times)]
    assert len(pauses) >= 4
    assert all(later > 1.5 * before for before, later in pairwise(pauses))
    assert not world.lost
    assert len(world.open) == 1
    await world.turn(100, data=True)
    count = len(world.opened)
    await world.turn(300)
    assert len(world.opened) > count, "what has brought data is expected to go on"


async def test_the_older_line_ends_once_the_newer_one_works(world: World) -> None:
    await world.turn(30, data=True)
    (first,) = world.open
    assert first.line is not None
    first.line.session.control(b'{"e":"serverShutdown"}', world.now_s)
    await world.turn(10)
    assert len(world.open) == 2, "the newer one has brought nothing yet"
    await world.turn(3, data=True)
    assert world.open == [world.opened[-1]]
    assert first.ended == Ended("another one took over")
    assert not world.lost


async def test_a_line_that_ends_is_told_and_tried_again(world: World) -> None:
    world.opened[-1].ended = Ended("cut")
    world.refuse = NotOpened("maintenance", 100.0)
    await world.turn(3)
    assert world.lost == ["cut"]
    why = "maintenance; the next try in 100.0 s"
    assert (world.shard.up, world.shard.why) == (False, why)
    world.refuse = None
    await world.turn(90)
    assert not world.open
    await world.turn(15)
    assert world.shard.up
    await world.turn(3, data=True)
    assert world.shard.why == ""


async def test_the_end(world: World) -> None:
    await world.shard.close()
    opened = world.opened[-1]
    assert (opened.ended, opened.gone) == (Ended("the feed ends"), True)
