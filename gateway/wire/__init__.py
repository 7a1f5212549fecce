"""The WebSocket half of a connection, sans-IO: bytes in, events out; no sockets, loop or clock."""
