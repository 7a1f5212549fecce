"""Starts the real nats-server with its WebSocket listener, and becomes it.

The ticks are not broadcast by this program: whoever has them publishes them to NATS, as in any
system built on it, on the port given as `--udp-port` (TCP here); clients send CONNECT and SUB and
get MSG. Settings are the server's defaults; compression is off by default, and TLS, which nobody
here has, is what `no_tls` leaves out:
https://docs.nats.io/running-a-nats-service/configuration/websocket/websocket_conf

The process becomes nats-server by exec, so that what is measured of it is nobody else's.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

from peer import ports

CONFIG = """
listen: "127.0.0.1:{nats_port}"
websocket {{
  listen: "127.0.0.1:{port}"
  no_tls: true
}}
"""
START_S = 10.0


def say_when_ready(both: tuple[int, int], directory: str) -> None:
    """Says `ready` once the server listens on both ports, and removes what it has read by then."""
    deadline = time.monotonic() + START_S
    waiting = list(both)
    while waiting and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", waiting[0]), 1):
            del waiting[0]
            continue
        time.sleep(0.02)
    if not waiting:
        print("ready", flush=True)
    shutil.rmtree(directory)


def main() -> None:
    port, nats_port = ports("runs nats-server; ticks are published to it on `--udp-port`, by TCP")
    directory = tempfile.mkdtemp(prefix="nats-")
    config = Path(directory, "nats.conf")
    config.write_text(CONFIG.format(port=port, nats_port=nats_port))
    if (child := os.fork()) == 0:
        # A grandchild, so that nats-server has no child that it would have to wait for.
        if os.fork() == 0:
            say_when_ready((port, nats_port), directory)
        os._exit(0)
    os.waitpid(child, 0)
    os.execlp("nats-server", "nats-server", "--config", str(config))


if __name__ == "__main__":
    main()
