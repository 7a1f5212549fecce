"""`serve` as a whole: processes, ports, epochs, exit codes. Row numbers are of docs/faults.md."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.orders import TOGETHER_S
from gateway.supervisor.children import Policy

WAIT_S = 60.0
SYNTHETIC = ('feeds.0.type="synthetic"', "feeds.0.symbols=3", "feeds.0.rate=200")


@dataclass
class Gateway:
    """A running `serve`, its lines so far, and where it is."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    client: str = ""
    ops: str = ""

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.ops + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.get("statusz")[1])
        return document

    def pid(self, name: str) -> int:
        return next(int(p["pid"]) for p in self.status()["processes"] if p["name"] == name)

    def metrics(self, *names: str) -> list[float]:
        """Of one moment, as far as there is one."""
        _, text = self.get("metrics")
        return [
            sum(
                float(line.rpartition(" ")[2])
                for line in text.splitlines()
                if line.startswith((f"{name} ", f"{name}{{"))
            )
            for name in names
        ]

    def metric(self, name: str) -> float:
        return self.metrics(name)[0]

    async def until_metric(self, name: str, value: float) -> None:
        """Waits until it is this much: what a client has may be counted a little later."""
        async with asyncio.timeout(WAIT_S):
            while await asyncio.to_thread(self.metric, name) != value:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def until_ready(self, timeout_s: float = WAIT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while self.get("readyz")[0] != 200:
            assert time.monotonic() < deadline, self.get("readyz")[1]
            time.sleep(0.02)

    def read_lines(self) -> Iterator[dict[str, Any]]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if not line.startswith("{"):  # the interpreter's own words, of a process that is killed
                self.said.append(line)
                continue
            entry = json.loads(line)
            self.lines.append(entry)
            yield entry


def start(*sets: str) -> subprocess.Popen[str]:
    given = ("listen.port=0", "ops.port=0", 'log.format="json"', *sets)
    arguments = [word for each in given for word in ("--set", each)]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gateway.cli", "serve", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("TICKGATE_")},
    )


@contextmanager
def serving(*sets: str) -> Iterator[Gateway]:
    with start(*sets) as process:
        gateway = Gateway(process)
        try:
            for entry in gateway.read_lines():
                if entry["event"] == "serve.ready":
                    gateway.client, gateway.ops = entry["client"], entry["ops"]
                    break
            assert gateway.ops, gateway.lines
            yield gateway
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(WAIT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            for _ in gateway.read_lines():
                pass


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone_within(pids: list[int], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@asynccontextmanager
async def subscriber(gateway: Gateway, *symbols: str) -> AsyncIterator[ClientConnection]:
    async with connect(gateway.client, subprotocols=["tickgate.v1.json"]) as client:  # type: ignore[list-item]
        params = {"channel": "bbo", "symbol": list(symbols or ["*"])}
        await client.send(json.dumps({"method": "subscribe", "req_id": 1, "params": params}))
        yield client


async def message(client: ClientConnection, **wanted: Any) -> dict[str, Any]:
    """The next message with these members."""
    async with asyncio.timeout(WAIT_S):
        while True:
            got: dict[str, Any] = json.loads(await client.recv())
            if wanted.items() <= got.items():
                return got


@pytest.mark.alone
def test_ready_within_five_seconds_and_stopped_with_exit_zero() -> None:
    started_s = time.monotonic()
    with serving(*SYNTHETIC) as gateway:
        gateway.until_ready()
        assert time.monotonic() - started_s < 5
        pids = [p["pid"] for p in gateway.status()["processes"]]
        assert len(pids) == 3, "supervisor, feed, worker"
        gateway.process.terminate()
        assert gateway.process.wait(WAIT_S) == 0
        assert not any(map(alive, pids))


def test_serve_without_feeds_is_ready_and_idle() -> None:
    with serving() as gateway:
        assert gateway.get("readyz")[0] == 200
        assert gateway.status()["feeds"] == []


async def test_several_workers_share_ring_and_port() -> None:
    with serving("cluster.workers=2", *SYNTHETIC) as gateway:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(subscriber(gateway)) for _ in range(16)]
            hellos = [await message(c, type="hello") for c in clients]
            for client in clients:
                await message(client, type="update")
            ids = {hello["data"][0]["connection_id"] for hello in hellos}
            assert len(ids) == 16
            await gateway.until_metric("tickgate_connections", 16)
            each = [w["connections"] for w in gateway.status()["workers"]]
            assert len(each) == 2
        await gateway.until_metric("tickgate_handshakes_total", 16)


async def test_f50_a_killed_feed_process_means_a_new_epoch() -> None:
    with serving(*SYNTHETIC) as gateway:
        async with subscriber(gateway) as client:
            hello = await message(client, type="hello")
            await message(client, channel="bbo", type="update")
            worker = gateway.pid("worker-0")
            os.kill(gateway.pid("feed"), signal.SIGKILL)
            epoch = (await message(client, type="epoch"))["data"][0]["epoch"]
            assert epoch != hello["data"][0]["epoch"]
            # Whether a snapshot comes first depends on whether the worker follows the new segment
            # before or after its first record; either way the stream is whole from there.
            first = await message(client, channel="bbo")
            assert first["type"] == "snapshot" or first["seq"] == 1
            await message(client, channel="bbo", type="update")
        gateway.until_ready()
        assert gateway.status()["epoch"] == epoch
        assert gateway.pid("worker-0") == worker
        await gateway.until_metric("tickgate_child_restarts_total", 1)


async def test_f50_a_killed_worker_comes_back_and_the_other_goes_on() -> None:
    with serving("cluster.workers=2", *SYNTHETIC) as gateway:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(subscriber(gateway)) for _ in range(16)]
            for client in clients:
                await message(client, channel="bbo", type="update")
            feed = gateway.pid("feed")
            os.kill(gateway.pid("worker-0"), signal.SIGKILL)
            outcomes = await asyncio.gather(
                *(_rest(client) for client in clients), return_exceptions=True
            )
            lost = sum(isinstance(outcome, ConnectionClosed) for outcome in outcomes)
            assert lost < 16
            assert outcomes.count(None) == 16 - lost
        gateway.until_ready()
        assert gateway.pid("feed") == feed
        async with subscriber(gateway) as client:
            await message(client, channel="bbo", type="update")
        routed, delivered, conflated, dropped = gateway.metrics(
            *(f"tickgate_{name}_total" for name in ("routed", "deliveries", "conflated", "dropped"))
        )
        # A worker killed in the middle of its counting may leave a handful uncounted.
        assert abs(routed - delivered - conflated - dropped) <= 64


async def _rest(client: ClientConnection) -> None:
    for _ in range(20):
        await message(client, channel="bbo")


async def test_each_string_asked_for_is_one_subscription() -> None:
    """However many topics it covers: `tickgate_subscriptions` counts strings."""
    with serving(*SYNTHETIC, "feeds.1.type=udp", "feeds.1.port=0", "feeds.1.venue=UDP") as gateway:
        async with subscriber(gateway) as client:  # to bbo, by a pattern
            await message(client, method="subscribe")
            await gateway.until_metric("tickgate_subscriptions", 1)
            params = {"channel": "trade", "symbol": ["SYM000.SIM", "*.SIM", "WAITS.UDP", "NOPE.X"]}
            for method, count in (("subscribe", 3), ("subscribe", 3), ("unsubscribe", 0)):
                await client.send(json.dumps({"method": method, "params": params}))
                await message(client, method=method)
                await gateway.until_metric("tickgate_subscriptions", 1 + count)
        await gateway.until_metric("tickgate_subscriptions", 0)


async def test_f50_a_new_worker_gives_no_connection_id_twice() -> None:
    with serving(*SYNTHETIC) as gateway:
        ids = set()
        for _ in range(2):
            async with subscriber(gateway) as client:
                ids.add((await message(client, type="hello"))["data"][0]["connection_id"])
            os.kill(gateway.pid("worker-0"), signal.SIGKILL)
        assert len(ids) == 2


def test_f50_a_hanging_worker_is_replaced() -> None:
    with serving(*SYNTHETIC) as gateway:
        pid = gateway.pid("worker-0")
        os.kill(pid, signal.SIGSTOP)
        assert gone_within([pid], WAIT_S)
        gateway.until_ready()
        assert 'reason="hang"' in gateway.get("metrics")[1]
        assert gateway.status()["processes"][1]["restarts"] == {"hang": 1}


async def test_f53_sigterm_says_goodbye_to_every_client_and_tears_no_frame() -> None:
    with serving(*SYNTHETIC, "feeds.0.rate=20000") as gateway:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(subscriber(gateway)) for _ in range(8)]
            for client in clients:
                await message(client, channel="bbo", type="update")
            gateway.process.terminate()
            # All at once: one that does not read would be slow, and get no goodbye in the end.
            await asyncio.gather(*map(_goodbye, clients))
        assert await asyncio.to_thread(gateway.process.wait, WAIT_S) == 0


async def _goodbye(client: ClientConnection) -> None:
    goodbye = await message(client, channel="system", type="shutdown")
    assert goodbye["data"][0]["reconnect_after_ms"] > 0
    with pytest.raises(ConnectionClosed) as closed:
        await message(client, nothing="else")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert closed.value.rcvd.reason


def test_f53_draining_is_not_ready() -> None:
    with serving(*SYNTHETIC) as gateway:
        worker = gateway.pid("worker-0")
        os.kill(worker, signal.SIGSTOP)  # it can't drain
        gateway.process.terminate()
        _until_draining(gateway)
        code, text = gateway.get("readyz")
        assert code == 503
        assert "draining" in text
        os.kill(worker, signal.SIGCONT)
        gateway.process.wait(WAIT_S)


def test_f53_a_second_sigterm_ends_it_at_once() -> None:
    with serving(*SYNTHETIC) as gateway:
        pids = [p["pid"] for p in gateway.status()["processes"]]
        os.kill(pids[1], signal.SIGSTOP)
        gateway.process.terminate()
        _until_draining(gateway)
        time.sleep(3 * TOGETHER_S)  # two signals that come together are one
        begun_s = time.monotonic()
        gateway.process.terminate()
        assert gateway.process.wait(WAIT_S) == 1
        assert time.monotonic() - begun_s < Policy().drain_s - 2, "it waited for the worker"
        assert not any(map(alive, pids))


async def test_f53_two_signals_at_once_are_one() -> None:
    """As timeout(1) sends them: to the process, then to its group."""
    with serving(*SYNTHETIC) as gateway:
        worker = gateway.pid("worker-0")
        async with subscriber(gateway) as client:
            os.kill(worker, signal.SIGSTOP)  # it can't end between the two
            gateway.process.send_signal(signal.SIGSTOP)  # they come together, however busy we are
            gateway.process.terminate()
            gateway.process.send_signal(signal.SIGINT)  # another one: two of a kind may be merged
            gateway.process.send_signal(signal.SIGCONT)
            await asyncio.to_thread(_until_draining, gateway)
            os.kill(worker, signal.SIGCONT)
            with pytest.raises(ConnectionClosed) as closed:
                await message(client, nothing="else")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        assert await asyncio.to_thread(gateway.process.wait, WAIT_S) == 0


def _until_draining(gateway: Gateway) -> None:
    deadline = time.monotonic() + WAIT_S
    while gateway.get("readyz")[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.02)


def test_no_orphan_and_no_segment_outlive_a_killed_supervisor() -> None:
    with serving(*SYNTHETIC) as gateway:
        pids = [p["pid"] for p in gateway.status()["processes"]]
        # What they share has no name: other programs of this host may have files there.
        assert not any("/dev/shm/" in Path(f"/proc/{pid}/maps").read_text() for pid in pids)
        gateway.process.kill()
        gateway.process.wait(WAIT_S)
        assert gone_within(pids, WAIT_S)


@pytest.mark.alone
@pytest.mark.parametrize("key", ["listen.port", "ops.port"])
def test_f61_a_busy_port_is_exit_69_and_one_line(key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _fails_with_69(f"{key}={port}", str(port), key)


def test_f61_a_port_of_another_gateway_is_busy_too() -> None:
    with serving() as gateway:
        port = gateway.client.rpartition(":")[2].removesuffix("/v1")
        _fails_with_69(f"listen.port={port}", port, "listen.port")


def test_f61_a_busy_udp_port_is_exit_69_and_one_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        sets = ('feeds.0.type="udp"', f"feeds.0.port={port}")
        with start(*sets) as process:
            _, text = process.communicate(timeout=WAIT_S)
        assert process.returncode == 69
        errors = [json.loads(x) for x in text.splitlines() if '"error"' in x]
        assert len(errors) == 1
        assert str(port) in errors[0]["message"]


def _fails_with_69(setting: str, *words: str) -> None:
    with start(setting) as process:
        _, text = process.communicate(timeout=WAIT_S)
    assert process.returncode == 69
    (entry,) = (json.loads(line) for line in text.splitlines())
    assert entry["level"] == "error"
    assert all(word in entry["message"] for word in words)


def test_f72_too_few_descriptors_are_exit_69_and_one_line() -> None:
    words = [sys.executable, "-P", "-m", "gateway.cli", "serve"]
    for one in ("listen.port=0", "ops.port=0", "log.format=json"):
        words += ["--set", one]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh", *words],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 69, done.stderr
    (entry,) = (json.loads(line) for line in done.stderr.splitlines())
    assert entry["level"] == "error"
    assert "64 descriptors are too few, 128 is the least" in entry["message"]
    assert "ulimit" in entry["message"]
