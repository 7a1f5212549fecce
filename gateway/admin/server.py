"""The admin socket: operators of this host ask, and the supervisor and its workers do.

Theory of operation. A Unix socket, since any program of this host, and a page in a browser of it,
reaches a port on loopback. The kernel says who is at the other end (SO_PEERCRED): root and the
gateway's own user may ask, others are refused. A connection is one call and one answer, under one
deadline. What concerns clients is asked of each worker, whose answers come in parts. Each call,
done or refused, is a line of the audit and of the log.
"""

import asyncio
import itertools
import os
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from gateway import log
from gateway.admin.calls import Call, Drain, Kick, List, LogLevel, Reload, Reply, Revoke, decode
from gateway.errors import ResourceError
from gateway.model.admin import Answer, Ask, ConnectionRow

if TYPE_CHECKING:
    from gateway.audit.audit import Audit

LINE_BYTES_MAX: Final = 4096
"""Of a call."""
CONNECTIONS_MAX: Final = 8
CALL_TIMEOUT_S: Final = 10.0
"""From accept to the answer's last byte."""
WORKERS_TIMEOUT_S: Final = 5.0
"""For what workers have to say; one that is silent is named."""
_CREDENTIALS: Final = struct.Struct("3i")

_log = log.get("admin")


class Peer(NamedTuple):
    """Who asks, as the kernel says."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Powers:
    """What can be done to the gateway.

    Attributes:
        workers: names of those that run.
        ask: sends a worker a question; False where it can't be sent.
        drain: ends a worker, or all (""), with a window in ms for clients to come back; why not,
            or "".
        reload: reads the configuration again; a struct that says what came of it.
        level: sets the log's level; the same.
        revoke: ends a token, a user's or a key's, by (token, user, key): why not, or ""; it may
            block. None where nobody has any.
    """

    workers: Callable[[], Sequence[str]]
    ask: Callable[[str, Ask], bool]
    drain: Callable[[str, int], str]
    reload: Callable[[], msgspec.Struct]
    level: Callable[[Any], msgspec.Struct]
    revoke: Callable[[str, str, str], str] | None = None


class AdminServer:
    """Listens while its context lasts; with an empty path it does not.

    Raises:
        ResourceError: on entering, when the socket can't be made, or another gateway has it.
    """

    def __init__(self, path: str, powers: Powers, audit: "Audit") -> None:
        self._path = path
        self._powers = powers
        self._audit = audit
        self._server: asyncio.Server | None = None
        self._tokens = itertools.count(1)
        self._waiting: dict[int, asyncio.Queue[Answer]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "AdminServer":
        if self._path:
            try:
                self._server = await asyncio.start_unix_server(
                    self._serve, sock=_listen(Path(self._path)), limit=LINE_BYTES_MAX
                )
            except OSError as error:
                why = error.strerror or str(error)
                raise ResourceError(f"cannot listen on {self._path} (admin.unix): {why}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            with suppress(OSError):
                os.unlink(self._path)
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)

    def answered(self, answer: Answer) -> None:
        """A worker said something; what nobody waits for any more is passed over."""
        waiting = self._waiting.get(answer.token)
        if waiting is not None:
            waiting.put_nowait(answer)

    # --- one connection ---------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                reply = await self._answer(reader, _peer(writer))
                writer.write(msgspec.json.encode(reply) + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError, asyncio.IncompleteReadError):
            pass  # it said nothing, or too much, or is gone
        except Exception:
            _log.exception("admin.failed")
        finally:
            self._calls.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, peer: Peer) -> Reply:
        line = await reader.readuntil(b"\n")  # first of all: a close over it would take the answer
        if len(self._calls) > CONNECTIONS_MAX:
            return Reply(ok=False, error=f"{CONNECTIONS_MAX} calls are under way")
        if peer.uid not in (0, os.geteuid()):
            reply = Reply(ok=False, error="it is for root and the gateway's user")
            self._told(peer, "", {}, reply)
            return reply
        call = decode(line)
        if isinstance(call, str):
            return Reply(ok=False, error=call)
        reply = await self._do(call)
        fields = msgspec.to_builtins(call)
        self._told(peer, fields.pop("call"), fields, reply)
        return reply

    def _told(self, peer: Peer, call: str, fields: dict[str, Any], reply: Reply) -> None:
        words = {"uid": peer.uid, "pid": peer.pid, "call": call, "ok": reply.ok, **fields}
        if reply.error:
            words["error"] = reply.error
        self._audit.note("admin", **words)
        (_log.info if reply.ok else _log.warning)("admin.call", **words)

    # --- what is asked ----------------------------------------------------------------------------

    async def _do(self, call: Call) -> Reply:
        powers = self._powers
        match call:
            case List():
                return await self._ask("list", user=call.user, limit=call.limit)
            case Kick():
                if bool(call.id) == bool(call.user):
                    return Reply(ok=False, error="expected an id or a user")
                return await self._ask("kick", id=call.id, user=call.user)
            case Revoke():
                return await self._revoke(call)
            case Drain():
                error = powers.drain(call.worker, call.window_s * 1000)
                return Reply(ok=not error, error=error)
            case Reload():
                return _reloaded(powers.reload())
            case LogLevel():
                return _reloaded(powers.level(call.level))

    async def _revoke(self, call: Revoke) -> Reply:
        if sum(map(bool, (call.token, call.user, call.key))) != 1:
            return Reply(ok=False, error="expected a token's id, a user or a key")
        if self._powers.revoke is None:
            return Reply(ok=False, error="nobody has a token here: there is no [auth]")
        # On a thread: it is not done before a disk has it.
        error = await asyncio.to_thread(self._powers.revoke, call.token, call.user, call.key)
        return Reply(ok=not error, error=error)

    async def _ask(self, call: Any, *, id: str = "", user: str = "", limit: int = 0) -> Reply:
        """Asks all workers; a list is as long as `limit` allows, from them together."""
        names = {next(self._tokens): name for name in self._powers.workers()}
        answers: asyncio.Queue[Answer] = asyncio.Queue()
        self._waiting |= dict.fromkeys(names, answers)
        try:
            for token, name in names.items():
                self._powers.ask(name, Ask(token=token, call=call, id=id, user=user, limit=limit))
            left, count = dict(names), 0
            rows: list[ConnectionRow] = []
            with suppress(TimeoutError):
                async with asyncio.timeout(WORKERS_TIMEOUT_S):
                    while left:
                        answer = await answers.get()
                        count += answer.count
                        rows += answer.rows[: limit - len(rows)] if limit else ()
                        if answer.last:
                            left.pop(answer.token, None)
        finally:
            for token in names:
                del self._waiting[token]
        reply = Reply(ok=True, count=count, rows=tuple(rows), silent=tuple(left.values()))
        if call == "kick" and not count and not left:
            return Reply(ok=False, error=f"no connection of {id or user!r} is open")
        return reply


def _reloaded(outcome: msgspec.Struct) -> Reply:
    said = msgspec.to_builtins(outcome)
    problems = said["problems"]
    return Reply(ok=not problems, error="; ".join(problems), reload=said)


def _peer(writer: asyncio.StreamWriter) -> Peer:
    sock = writer.get_extra_info("socket")
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(data))


def _listen(path: Path) -> socket.socket:
    """A listening socket for us and root alone; one that a killed gateway left is taken over.

    Raises:
        OSError: there is something else, or a gateway listens there.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise OSError("another gateway listens there")
            path.unlink()
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen(CONNECTIONS_MAX)
    except OSError:
        sock.close()
        raise
    return sock
