import asyncio
import os
import socket

import pytest
from support.starts import started

from gateway.supervisor.channel import (
    DESCRIPTORS_MAX,
    MESSAGE_BYTES_MAX,
    Channel,
    Received,
    Refused,
)
from gateway.supervisor.messages import (
    Drain,
    Message,
    Ready,
    Report,
    Segment,
    WorkerStart,
    encode,
)


def ends() -> tuple[Channel, Channel]:
    ours, theirs = Channel.pair()
    return ours, Channel(theirs)


def numbered(n: int) -> Message:
    return Report(channel="slo", text=str(n))


async def test_messages_keep_their_borders_and_order() -> None:
    ours, theirs = ends()
    for n in range(3):
        assert ours.send(numbered(n))
    assert [await theirs.receive() for _ in range(3)] == [Received(numbered(n)) for n in range(3)]
    ours.close()
    theirs.close()


async def test_a_descriptor_arrives_as_a_copy_of_its_own() -> None:
    ours, theirs = ends()
    fd = os.memfd_create("test")
    os.write(fd, b"shared")
    assert ours.send(Segment(epoch="abc"), [fd])
    message = await theirs.receive()
    assert isinstance(message, Received)
    assert message.message == Segment(epoch="abc")
    (copy,) = message.fds
    assert copy != fd
    assert os.pread(copy, 6, 0) == b"shared"
    assert not os.get_inheritable(copy)
    for each in (fd, copy):
        os.close(each)
    ours.close()
    theirs.close()


async def test_end_of_file_is_none_however_often_asked() -> None:
    ours, theirs = ends()
    ours.close()
    assert await theirs.receive() is None
    assert await theirs.receive() is None
    assert not theirs.send(Drain())
    await theirs.deliver(Ready())  # nobody to deliver to: returns
    theirs.close()


async def test_a_full_buffer_refuses_and_deliver_waits() -> None:
    ours, theirs = ends()
    sent = 0
    while ours.send(numbered(sent)):
        sent += 1
    delivery = asyncio.create_task(ours.deliver(Ready()))
    for n in range(sent):
        assert await theirs.receive() == Received(numbered(n))
    assert await theirs.receive() == Received(Ready())
    await delivery
    ours.close()
    theirs.close()


def test_a_message_beyond_the_bound_is_misuse() -> None:
    ours, theirs = Channel.pair()
    with pytest.raises(ValueError, match="at most"):
        ours.send(Report(channel="slo", text="x" * MESSAGE_BYTES_MAX))
    ours.close()
    theirs.close()


def test_the_first_message_is_read_without_a_loop() -> None:
    channel, theirs = Channel.pair()
    theirs.send(encode(started(3)))
    received = channel.receive_now()
    assert isinstance(received, Received)
    assert isinstance(received.message, WorkerStart)
    assert received.message.index == 3
    theirs.close()
    channel.close()


async def test_what_is_no_message_is_told_and_the_next_one_comes() -> None:
    channel, theirs = Channel.pair()
    open_before = len(os.listdir("/proc/self/fd"))
    theirs.send(b'{"type":"report","channel":"slo","text":7}')
    socket.send_fds(theirs, [b'{"type":"drain"}'], [0])
    socket.send_fds(theirs, [encode(Segment(epoch="abc"))], [0] * (DESCRIPTORS_MAX + 1))
    theirs.send(encode(Drain()))
    assert await channel.receive() == Refused("report", "Expected `str`, got `int` - at `$.text`")
    assert await channel.receive() == Refused("drain", "it came with 1 descriptors, expected 0")
    cut = await channel.receive()
    assert isinstance(cut, Refused)
    assert "cut off" in cut.problem
    assert await channel.receive() == Received(Drain())
    assert len(os.listdir("/proc/self/fd")) == open_before, "what came with it is closed"
    theirs.close()
    channel.close()


async def test_an_empty_message_is_no_end_of_file_and_leaves_no_descriptor() -> None:
    channel, theirs = Channel.pair()
    open_before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(theirs, [b""], [0, 0])
    theirs.send(b"")
    theirs.send(encode(Drain()))
    assert await channel.receive() == Refused("", "it is empty")
    assert await channel.receive() == Refused("", "it is empty")
    assert await channel.receive() == Received(Drain())
    assert len(os.listdir("/proc/self/fd")) == open_before, "what came with it is closed"
    theirs.shutdown(socket.SHUT_WR)
    assert await channel.receive() is None
    theirs.close()
    assert await channel.receive() is None
    channel.close()


async def test_a_peer_that_never_stops_talking_leaves_others_their_turn() -> None:
    ours, theirs = ends()
    turns = 0

    async def talk() -> None:
        nonlocal turns
        for _ in range(5):
            while ours.send(Drain()):
                pass
            turns += 1
            await asyncio.sleep(0)

    talking = asyncio.create_task(talk())
    await asyncio.sleep(0)
    for _ in range(20):
        await theirs.receive()
    assert turns == 5
    await talking
    ours.close()
    theirs.close()
