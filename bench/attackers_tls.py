"""What Python's `ssl` cannot be made to do to a server: OpenSSL by ctypes."""

from __future__ import annotations

import ctypes
import ctypes.util
import socket
import ssl
import struct
from collections.abc import Callable
from functools import cache

TLS1_2, TLS1_3 = 0x0303, 0x0304
CTRL_MIN, CTRL_MAX = 123, 124
"""SSL_CTRL_SET_MIN_PROTO_VERSION and _MAX_ of openssl/ssl.h."""
UPDATE_REQUESTED = 1
ROUNDS_MAX = 100_000
WAIT_S = 1
"""For a server that says nothing; then the connection is given up."""

Stopping = Callable[[], bool]


@cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("ssl")
    if name is None:
        raise SystemExit("libssl is absent")
    lib = ctypes.CDLL(name)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    lib.TLS_client_method.restype = pointer
    lib.SSL_CTX_new.argtypes, lib.SSL_CTX_new.restype = [pointer], pointer
    lib.SSL_CTX_ctrl.argtypes = [pointer, number, ctypes.c_long, pointer]
    lib.SSL_CTX_free.argtypes = [pointer]
    lib.SSL_new.argtypes, lib.SSL_new.restype = [pointer], pointer
    lib.SSL_set_fd.argtypes = [pointer, number]
    lib.SSL_write.argtypes = lib.SSL_read.argtypes = [pointer, pointer, number]
    lib.SSL_key_update.argtypes = [pointer, number]
    for name in ("SSL_connect", "SSL_do_handshake", "SSL_renegotiate", "SSL_free"):
        getattr(lib, name).argtypes = [pointer]
    return lib


def _connected(sock: socket.socket, version: int, request: bytes) -> tuple[int, int]:
    """The context and the connection; no SSL where the handshake fails."""
    lib = _library()
    context = lib.SSL_CTX_new(lib.TLS_client_method())
    lib.SSL_CTX_ctrl(context, CTRL_MIN, version, None)
    lib.SSL_CTX_ctrl(context, CTRL_MAX, version, None)
    one = lib.SSL_new(context)
    lib.SSL_set_fd(one, sock.fileno())
    sock.settimeout(None)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", WAIT_S, 0))
    if lib.SSL_connect(one) == 1:
        lib.SSL_write(one, request, len(request))
    return context, one


def _again(
    sock: socket.socket,
    version: int,
    request: bytes,
    stopping: Stopping,
    step: Callable[[int], bool],
) -> int:
    """Does a step again and again while the server lets it; how often it did."""
    lib = _library()
    context, one = _connected(sock, version, request)
    done = 0
    try:
        while done < ROUNDS_MAX and not stopping() and step(one):
            done += 1
    finally:
        lib.SSL_free(one)
        lib.SSL_CTX_free(context)
        sock.close()
    return done


def renegotiations(sock: socket.socket, request: bytes, stopping: Stopping) -> int:
    """Handshakes on a connection that has had one; closes it."""
    lib = _library()

    def step(one: int) -> bool:
        return bool(lib.SSL_renegotiate(one) == 1 and lib.SSL_do_handshake(one) == 1)

    return _again(sock, TLS1_2, request, stopping, step)


def key_updates(sock: socket.socket, request: bytes, stopping: Stopping) -> int:
    """New keys of both sides; closes the connection."""
    lib = _library()

    def step(one: int) -> bool:
        return bool(
            lib.SSL_key_update(one, UPDATE_REQUESTED) == 1 and lib.SSL_do_handshake(one) == 1
        )

    return _again(sock, TLS1_3, request, stopping, step)


@cache
def client_hello() -> bytes:
    """The first message of a client, whole."""
    context = ssl.create_default_context()
    out = ssl.MemoryBIO()
    one = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    try:
        one.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake without a server")
