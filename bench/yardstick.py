"""Measures the gateway from outside, with yardsticks that are not part of it.

    python bench/yardstick.py cost        server CPU per delivery against a bare send loop, in turn
    python bench/yardstick.py throughput  20,000 and 50,000 ticks/s to 100 clients

The yardsticks are three small C programs (a tick source, a swarm of subscribers, a bare send loop)
found through TICKGATE_TOOLS, else `../shared/tools`; each is built at first use. The server runs on
core 0, everything else on core 1. Method and reading: bench/README.md.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(os.environ.get("TICKGATE_TOOLS", ROOT.parent / "shared" / "tools"))
BUILD = Path(tempfile.gettempdir()) / "tickgate-yardsticks"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SUBSCRIBE = '{"method":"subscribe","params":{"channel":"%s","symbol":["%s"]}}'


def tool(name: str, *flags: str) -> str:
    """The path of a yardstick, built where that was not done yet."""
    target, source = BUILD / name, TOOLS / f"{name}.c"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-w", "-o", target, source, *flags], check=True)
    return str(target)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def cpu_s(pids: Sequence[int]) -> float:
    """User and system time of these processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_S


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(grandchild for child in children for grandchild in family(int(child)))]


@dataclass
class Server:
    """A server under measurement: where clients and ticks go, and whose CPU counts."""

    process: subprocess.Popen[bytes]
    client_port: int
    udp_port: int
    ops_port: int = 0

    def pids(self) -> list[int]:
        return family(self.process.pid)


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def gateway(*settings: str, cpu: str | None = "0") -> Iterator[Server]:
    """Our gateway with a `udp` feed."""
    ports = [free_port() for _ in range(3)]
    values = [f"listen.port={ports[0]}", f"ops.port={ports[1]}", "feeds.0.type=udp"]
    values += [f"feeds.0.port={ports[2]}", "log.level=warning", *settings]
    command = [str(Path(sys.executable).parent / "tickgate"), "serve"]
    command += [word for value in values for word in ("--set", value)]
    pin = ["taskset", "-c", cpu] if cpu else []
    with stopped(subprocess.Popen([*pin, *command])) as process:
        wait_ready(ports[1])
        yield Server(process, ports[0], ports[2], ports[1])


def wait_ready(ops_port: int) -> None:
    from urllib.error import URLError
    from urllib.request import urlopen

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            urlopen(f"http://127.0.0.1:{ops_port}/readyz", timeout=1).close()
            return
        except (URLError, OSError):
            time.sleep(0.05)
    raise SystemExit("the gateway did not become ready")


@contextmanager
def bare(clients: int) -> Iterator[Server]:
    """The floor: a bare send loop."""
    port = free_port()
    rawfan = tool("rawfan", "-luring")
    process = subprocess.Popen(["taskset", "-c", "0", rawfan, str(port), str(clients)])
    try:
        time.sleep(0.3)
        yield Server(process, port, port + 1000)
    finally:
        process.kill()
        process.wait()


def swarm(
    server: Server, clients: int, warm: float, dur: float, *more: str
) -> "subprocess.Popen[str]":
    command = ["taskset", "-c", "1", tool("wsload"), "--port", str(server.client_port)]
    command += ["--path", "/v1", "--key", '"ts_event":' if server.ops_port else '"ts":']
    command += ["--clients", str(clients), "--warm", str(warm), "--dur", str(dur), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def opened(load: "subprocess.Popen[str]") -> None:
    """Waits until the swarm says that its connections are open."""
    assert load.stderr is not None
    line = load.stderr.readline()
    if not line.startswith("open"):
        raise SystemExit(f"swarm: {line}")


@contextmanager
def ticks(port: int, rate: float, seconds: float, symbols: int = 1) -> Iterator[None]:
    command = ["taskset", "-c", "1", tool("feedpub"), "udp", str(port), str(rate), str(seconds)]
    process = subprocess.Popen([*command, str(symbols)], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measure(server: Server, clients: int, rate: float, warm: float, dur: float) -> dict[str, float]:
    """One run of one symbol to all clients; adds the server's CPU per delivery."""
    subscribe = ("--sub", SUBSCRIBE % ("trade", "SYM000.SIM")) if server.ops_port else ()
    load = swarm(server, clients, warm, dur, *subscribe)
    opened(load)
    with ticks(server.udp_port, rate, warm + dur + 2):
        time.sleep(warm)
        pids = server.pids()
        before, started = cpu_s(pids), time.monotonic()
        time.sleep(max(0.0, dur - 0.5))
        used, elapsed = cpu_s(pids) - before, time.monotonic() - started
        out, _ = load.communicate(timeout=dur + 30)
    result: dict[str, float] = json.loads(out)
    result["cpu_us"] = used / (elapsed * result["per_s"]) * 1e6
    result["server_cpu"] = used / elapsed
    return result


def shown(run: dict[str, float]) -> str:
    return f"{run['cpu_us']:.3f} us ({run['per_s']:.0f}/s, p99 {run['p99_us']:.0f} us)"


def cost(pairs: int, clients: int, rate: float) -> None:
    ratios = []
    for n in range(pairs):
        with gateway() as server:
            ours = measure(server, clients, rate, 2, 6)
        with bare(clients) as server:
            floor = measure(server, clients, rate, 2, 6)
        ratios.append(ours["cpu_us"] / floor["cpu_us"])
        print(
            f"pair {n}: ours {shown(ours)}  floor {shown(floor)}  ratio {ratios[-1]:.3f}",
            flush=True,
        )
    quartile = statistics.quantiles(ratios, n=4)[0] if pairs > 1 else ratios[0]
    print(f"ratio: lower quartile {quartile:.3f}, median {statistics.median(ratios):.3f}")


def throughput() -> None:
    for rate in (20_000, 50_000):
        with gateway() as server:
            got = measure(server, 100, rate, 2, 6)
        print(f"{rate} ticks/s to 100 clients: " + json.dumps(got), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=["cost", "throughput"])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=50)
    options = parser.parse_args()
    if options.what == "cost":
        cost(options.pairs, options.clients, options.rate)
    else:
        throughput()


if __name__ == "__main__":
    main()
