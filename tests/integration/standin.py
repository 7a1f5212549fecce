"""A stand-in child that does what it is told: `python standin.py NAME MODE STAMPS_FD FD`."""

import asyncio
import mmap
import os
import signal
import socket
import sys
import time

from gateway.model.status import Status, WorkerReport
from gateway.supervisor.channel import Channel
from gateway.supervisor.child import Child
from gateway.supervisor.messages import Failed, Ready, Segment

BABBLE = (
    b"no json",
    b'{"type":"bogus"}',
    b'{"type":"failed","exit":"x","message":"y"}',
    b'{"type":"segment","epoch":"without a descriptor"}',
    b'{"type":"drain"}',
)


async def work(child: Child, name: str, mode: str, stamps_fd: int) -> int:  # noqa: C901
    stamps = mmap.mmap(stamps_fd, 4096) if stamps_fd >= 0 else None
    listening = asyncio.create_task(child.listen(lambda one: print(one.message, flush=True)))
    if mode == "die":
        return 3
    if mode == "failed":
        await child.channel.deliver(Failed(exit=69, message="port taken"))
        return 69
    if mode == "silent":
        await asyncio.sleep(3600)
    if mode == "writer":
        fd = os.memfd_create("segment")
        await child.channel.deliver(Segment(epoch=f"epoch-of-{os.getpid()}"), [fd])
    if mode == "babbling":
        for data in BABBLE:
            os.write(child.channel.fileno(), data)
    child.channel.send(Ready())
    child.channel.send(Status(worker=WorkerReport(connections=7, accepting=True, subscribers={})))
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(0.1)  # noqa: ASYNC251 (that is what deaf means)
    while not child.drain.is_set():
        if stamps is not None:
            stamps[:8] = time.monotonic_ns().to_bytes(8, "little")
        try:
            await asyncio.wait_for(child.drain.wait(), 0.05)
        except TimeoutError:
            continue
    print("drained", time.monotonic_ns(), name, flush=True)
    if mode == "undying":
        listening.cancel()
        await asyncio.sleep(3600)
    return 0


if __name__ == "__main__":
    link = Child(Channel(socket.socket(fileno=int(sys.argv[-1]))))
    sys.exit(asyncio.run(work(link, sys.argv[1], sys.argv[2], int(sys.argv[3]))))
