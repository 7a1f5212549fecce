"""A stand-in child: what the first message says, it does. Run as `python standin.py FD`."""

import asyncio
import mmap
import os
import signal
import socket
import sys
import time

from gateway.supervisor.channel import Channel
from gateway.supervisor.child import Child

STAMPS = 8


async def work(child: Child) -> int:  # noqa: C901
    first = child.first
    stamps = mmap.mmap(first["stamps_fd"], 4096) if "stamps_fd" in first else None
    listening = asyncio.create_task(child.listen(lambda m: print("segment", m.body, flush=True)))
    mode = first.get("mode", "ok")
    if mode == "die":
        return 3
    if mode == "failed":
        await child.channel.deliver({"type": "failed", "exit": 69, "message": "port taken"})
        return 69
    if mode == "silent":
        await asyncio.sleep(3600)
    if mode == "writer":
        fd = os.memfd_create("segment")
        body = {"type": "segment", "epoch": f"epoch-of-{os.getpid()}"}
        await child.channel.deliver(body, [fd])
    child.channel.send({"type": "ready"})
    child.channel.send({"type": "status", "hello": first.get("name")})
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
    print("drained", time.monotonic_ns(), first.get("name"), flush=True)
    if mode == "undying":
        listening.cancel()
        await asyncio.sleep(3600)
    return 0


if __name__ == "__main__":
    link = Child(Channel(socket.socket(fileno=int(sys.argv[-1]))))
    sys.exit(asyncio.run(work(link)))
