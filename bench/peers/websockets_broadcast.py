"""A broadcast server with the `websockets` library, as its own pages recommend.

- uvloop, and `broadcast()` as "the most efficient way to send a message to many clients":
  https://websockets.readthedocs.io/en/stable/topics/performance.html
- `text=True` on bytes, so that a message is neither decoded nor encoded again (`broadcast()`).
- No compression: `broadcast()` would compress for each client, and these ask for none.
- Keepalive as by default, which `broadcast()` asks for: it has no backpressure of its own.
"""

import uvloop
from peer import BACKLOG, broadcast_lines, ports
from websockets.asyncio.server import ServerConnection, broadcast, serve

clients: set[ServerConnection] = set()


async def handler(client: ServerConnection) -> None:
    clients.add(client)
    try:
        await client.wait_closed()
    finally:
        clients.remove(client)


async def main() -> None:
    port, udp_port = ports("broadcasts lines with `websockets`")
    async with serve(handler, "127.0.0.1", port, compression=None, backlog=BACKLOG):
        await broadcast_lines(udp_port, lambda line: broadcast(clients, line, text=True))


if __name__ == "__main__":
    uvloop.run(main())
