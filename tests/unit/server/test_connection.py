"""Frames that the connection makes itself, and what becomes of a mistake of our own."""

import logging
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.options import LimitsOptions
from gateway.server import connection as module
from gateway.server.connection import Connection, State, frame_close, frame_text


@pytest.mark.parametrize(("size", "header"), [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_text_frames(size: int, header: int) -> None:
    frame, length = frame_text(b"x" * size)
    assert (len(frame), length) == (size + header, header)
    assert frame[0] == 0x81
    said = frame[1] if header == 2 else int.from_bytes(frame[2:header], "big")
    assert said == size


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("", ""), ("slow", "slow"), ("x" * 200, "x" * 123), ("\u20ac" * 50, "\u20ac" * 41)],
)
def test_close_frames_keep_whole_characters(reason: str, kept: str) -> None:
    frame = frame_close(4008, reason)
    assert frame[0] == 0x88
    assert frame[1] == len(frame) - 2 <= 125
    assert frame[2:4] == (4008).to_bytes(2, "big")
    assert frame[4:].decode() == kept


class Told:
    """Stands for listener, loop and plane: notes what is asked of it, and does nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.limits = LimitsOptions()
        self.handshake_timeout_ns = self.close_timeout_ns = 10**9
        self.loop = self.plane = self

    def now_ns(self) -> int:
        return 1

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, *args))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


def broken(monkeypatch: pytest.MonkeyPatch, state: State) -> tuple[Told, Connection]:
    """A connection that reads some bytes, and fails over them."""
    ours, theirs = socket.socketpair()
    told = Told()
    connection = Connection(told, ours, "peer", 0)  # type: ignore[arg-type]
    connection.state = state
    monkeypatch.setattr(Connection, "_frames", lambda *_: 1 / 0)
    monkeypatch.setattr(Connection, "_handshake", lambda *_: 1 / 0)
    monkeypatch.setattr(module, "_log", SimpleNamespace(exception=lambda *_, **__: None))
    with theirs:
        theirs.send(b"x")
        connection._readable()
    ours.close()
    return told, connection


def test_a_mistake_of_ours_closes_with_1011(monkeypatch: pytest.MonkeyPatch) -> None:
    told, connection = broken(monkeypatch, State.OPEN)
    assert connection.close_code == 1011
    assert connection.state is State.CLOSING
    ((_, frame),) = told.named("close")
    assert frame == frame_close(1011, "internal error")


def test_a_mistake_of_ours_in_a_handshake_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told, connection = broken(monkeypatch, State.HANDSHAKE)
    assert told.named("handshake_ended") == [(connection, "closed")]
    assert connection.state is State.CLOSED
    assert connection.sock.fileno() == -1


def test_the_library_is_quiet() -> None:
    assert logging.getLogger("gateway.websockets").level == logging.ERROR
