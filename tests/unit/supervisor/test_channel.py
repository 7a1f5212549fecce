import asyncio
import os
import socket

import pytest

from gateway.supervisor.channel import MESSAGE_BYTES_MAX, Channel


def ends() -> tuple[Channel, Channel]:
    ours, theirs = Channel.pair()
    return ours, Channel(theirs)


async def test_messages_keep_their_borders_and_order() -> None:
    ours, theirs = ends()
    for n in range(3):
        assert ours.send({"type": "status", "n": n})
    received = [await theirs.receive() for _ in range(3)]
    assert [m.body["n"] for m in received if m] == [0, 1, 2]
    ours.close()
    theirs.close()


async def test_a_descriptor_arrives_as_a_copy_of_its_own() -> None:
    ours, theirs = ends()
    fd = os.memfd_create("test")
    os.write(fd, b"shared")
    assert ours.send({"type": "segment"}, [fd])
    message = await theirs.receive()
    assert message is not None
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
    assert not theirs.send({"type": "status"})
    await theirs.deliver({"type": "ready"})  # nobody to deliver to: returns
    theirs.close()


async def test_a_full_buffer_refuses_and_deliver_waits() -> None:
    ours, theirs = ends()
    sent = 0
    while ours.send({"type": "status", "n": sent}):
        sent += 1
    delivery = asyncio.create_task(ours.deliver({"type": "ready"}))
    for n in range(sent):
        message = await theirs.receive()
        assert message is not None
        assert message.body["n"] == n
    last = await theirs.receive()
    assert last is not None
    assert last.type == "ready"
    await delivery
    ours.close()
    theirs.close()


def test_a_message_beyond_the_bound_is_misuse() -> None:
    ours, theirs = Channel.pair()
    with pytest.raises(ValueError, match="at most"):
        ours.send({"type": "x" * MESSAGE_BYTES_MAX})
    ours.close()
    theirs.close()


def test_the_first_message_is_read_without_a_loop() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.send(b'{"type":"start","index":3}')
    channel = Channel(theirs)
    message = channel.receive_now()
    assert message is not None
    assert message.body["index"] == 3
    ours.close()
    channel.close()
