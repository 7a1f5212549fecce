"""The admin socket: who may ask, what is asked of workers, what is refused."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.admin import server as module
from gateway.admin.server import CONNECTIONS_MAX, AdminServer, Peer, Powers
from gateway.audit.audit import Audit
from gateway.errors import ResourceError
from gateway.model.admin import Answer, Ask, ConnectionRow
from gateway.reload import Outcome

ROW = ConnectionRow(
    id="c-1", address="192.0.2.1", user="ann", subscriptions=1, pending_bytes=0, lag_ms=0.0
)


class Notes(Audit):
    """An audit that tests read."""

    def __init__(self) -> None:
        super().__init__("supervisor")
        self.notes: list[dict[str, object]] = []

    def note(self, event: str, **fields: object) -> None:
        self.notes.append({"event": event, **fields})


class Gateway:
    """Stands for all that can be asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.audit = Notes()
        self.workers = ["worker-0", "worker-1"]
        self.silent: set[str] = set()
        self.did: list[tuple[Any, ...]] = []
        self.revoke: Callable[[str, str, str], str] | None = None
        self.rows = 2
        self.matches = True

    def powers(self) -> Powers:
        return Powers(
            workers=lambda: self.workers,
            ask=self._ask,
            drain=lambda worker, window: self._did("drain", worker, window),
            reload=lambda: Outcome(changed=("log.level",), needs_restart=("listen.port",)),
            level=lambda level: Outcome(problems=(f"no {level}",)),
            revoke=self.revoke,
        )

    def _did(self, *what: Any) -> str:
        self.did.append(what)
        return "" if what[1] in ("", *self.workers) else f"no worker {what[1]!r} runs"

    def _ask(self, name: str, ask: Ask) -> bool:
        self.did.append((name, ask.call, ask.id, ask.user, ask.limit))
        if name not in self.silent:
            count = self.rows if self.matches else 0
            rows = (ROW,) * count if ask.call == "list" else ()
            for last in (False, True):
                answer = Answer(token=ask.token, rows=rows, count=count, last=last)
                asyncio.get_running_loop().call_soon(self.server.answered, answer)
        return True

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def all_of_it() -> Any:
            self.server = AdminServer(str(self.path), self.powers(), self.audit)
            async with self.server:
                return await work()

        return asyncio.run(all_of_it())

    async def say(self, data: bytes) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert answer.endswith(b"\n")
        said: dict[str, Any] = json.loads(answer)
        return said

    def call(self, name: str, **fields: object) -> dict[str, Any]:
        line = json.dumps({"call": name, **fields}).encode() + b"\n"
        answer: dict[str, Any] = self.run(lambda: self.say(line))
        return answer


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "admin.sock")


def test_all_workers_list_who_is_there(gateway: Gateway) -> None:
    answer = gateway.call("list", user="ann", limit=7)
    assert answer["ok"]
    assert answer["count"] == 8
    assert len(answer["rows"]) == 7, "as many as were asked for, from all together"
    assert answer["rows"][0]["address"] == "192.0.2.1"
    assert gateway.did == [(name, "list", "", "ann", 7) for name in gateway.workers]


def test_each_call_is_a_line_of_the_audit(gateway: Gateway) -> None:
    gateway.call("kick", id="c-1")
    (note,) = gateway.audit.notes
    who = {"uid": os.getuid(), "pid": os.getpid()}
    assert note == {"event": "admin", **who, "call": "kick", "ok": True, "id": "c-1", "user": ""}


def test_a_worker_that_says_nothing_is_named(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORKERS_TIMEOUT_S", 0.05)
    gateway.silent = {"worker-1"}
    answer = gateway.call("list")
    assert (answer["ok"], answer["silent"], answer["count"]) == (True, ["worker-1"], 4)


def test_who_is_to_be_closed_must_be_there_and_be_named_once(gateway: Gateway) -> None:
    for fields in ({}, {"id": "c-1", "user": "ann"}):
        assert gateway.call("kick", **fields)["error"] == "expected an id or a user"
    gateway.matches = False
    assert gateway.call("kick", id="c-9")["error"] == "no connection of 'c-9' is open"
    assert [one["ok"] for one in gateway.audit.notes] == [False] * 3


def test_a_drain_is_of_all_or_of_a_worker_and_has_a_window(gateway: Gateway) -> None:
    assert gateway.call("drain", window_s=30)["ok"]
    assert gateway.call("drain", worker="worker-1")["ok"]
    assert gateway.call("drain", worker="feed")["error"] == "no worker 'feed' runs"
    assert gateway.did == [
        ("drain", "", 30_000),
        ("drain", "worker-1", 0),
        ("drain", "feed", 0),
    ]


def test_what_came_of_a_reload_is_told(gateway: Gateway) -> None:
    answer = gateway.call("reload")
    assert answer["ok"]
    assert answer["reload"]["changed"] == ["log.level"]
    assert answer["reload"]["needs_restart"] == ["listen.port"]
    refused = gateway.call("log-level", level="debug")
    assert (refused["ok"], refused["error"]) == (False, "no debug")


def test_without_authentication_there_is_nothing_to_revoke(gateway: Gateway) -> None:
    assert "there is no [auth]" in gateway.call("revoke", user="ann")["error"]
    revoked = []
    gateway.revoke = lambda *what: revoked.append(what) or ""  # type: ignore[func-returns-value]
    assert gateway.call("revoke", token="jti-1")["ok"]
    assert gateway.call("revoke")["error"] == "expected a token's id, a user or a key"
    assert gateway.call("revoke", key="k-1", user="ann")["error"].endswith("a user or a key")
    assert revoked == [("jti-1", "", "")]


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"call":"halt"}',
        b'{"call":"log-level","level":"loud"}',
        b'{"call":"list","limit":0}',
        b'{"call":"list","limit":10001}',
        b'{"call":"kick","id":"' + b"x" * 257 + b'"}',
        b'{"call":"drain","window_s":3601}',
        b"[" * 2000,
        b"\xff\xfe",
        b"",
    ],
)
def test_what_is_no_call_is_refused_and_does_nothing(gateway: Gateway, line: bytes) -> None:
    answer = gateway.run(lambda: gateway.say(line + b"\n"))
    assert not answer["ok"]
    assert 0 < len(answer["error"]) <= 200
    assert gateway.did == []


@pytest.mark.threat("E6")
def test_others_may_not_ask(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(module, "_peer", lambda _: Peer(pid=7, uid=1001, gid=0))
    answer = gateway.call("drain")
    assert answer == {"ok": False, "error": "it is for root and the gateway's user"}
    assert gateway.did == []
    assert gateway.audit.notes[0] | {"error": ""} == {
        "event": "admin",
        "uid": 1001,
        "pid": 7,
        "call": "",
        "ok": False,
        "error": "",
    }


def test_root_and_our_own_user_may_ask(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for uid in (0, 1000):
        peer = Peer(pid=7, uid=uid, gid=0)
        monkeypatch.setattr(module, "_peer", lambda _, peer=peer: peer)
        assert gateway.call("drain")["ok"]


def test_the_kernel_says_who_asks() -> None:
    ours, theirs = socket.socketpair()

    class Writer:
        def get_extra_info(self, _: str) -> socket.socket:
            return ours

    assert module._peer(Writer()) == (os.getpid(), os.getuid(), os.getgid())  # type: ignore[arg-type]
    ours.close()
    theirs.close()


def test_a_long_line_and_silence_end_the_connection(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALL_TIMEOUT_S", 0.1)

    async def both() -> list[bytes]:
        answers = []
        for data in (b"x" * 100_000, b'{"call"'):
            reader, writer = await asyncio.open_unix_connection(gateway.path)
            writer.write(data)
            try:
                answers.append(await asyncio.wait_for(reader.read(), 5))
            except ConnectionError:
                answers.append(b"")
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        return answers

    assert gateway.run(both) == [b"", b""]


def test_so_many_calls_at_once(gateway: Gateway) -> None:
    async def many() -> dict[str, Any]:
        silent = [await asyncio.open_unix_connection(gateway.path) for _ in range(CONNECTIONS_MAX)]
        await asyncio.sleep(0.05)
        answer = await gateway.say(b'{"call":"reload"}\n')
        for _, writer in silent:
            writer.close()
            await writer.wait_closed()
        return answer

    assert gateway.run(many)["error"] == f"{CONNECTIONS_MAX} calls are under way"


def test_the_socket_is_ours_alone_and_goes_with_us(gateway: Gateway) -> None:
    async def look() -> int:
        return stat.S_IMODE(gateway.path.stat().st_mode)

    assert gateway.run(look) == 0o600
    assert not gateway.path.exists()


def test_a_socket_that_was_left_is_taken_over_and_one_in_use_is_not(gateway: Gateway) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(gateway.path))
    left.close()
    assert gateway.call("reload")["ok"]
    with socket.socket(socket.AF_UNIX) as used:
        used.bind(str(gateway.path))
        used.listen()
        with pytest.raises(ResourceError, match="another gateway listens there"):
            gateway.call("reload")
    gateway.path.unlink()
    gateway.path.write_text("a file")
    with pytest.raises(ResourceError, match=r"admin\.unix"):
        gateway.call("reload")
    assert gateway.path.read_text() == "a file"


def test_without_a_path_nothing_listens(tmp_path: Path) -> None:
    gateway = Gateway(Path())
    server = AdminServer("", gateway.powers(), gateway.audit)

    async def enter() -> None:
        async with server:
            server.answered(Answer(token=1))

    asyncio.run(enter())
