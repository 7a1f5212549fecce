"""Measures the gateway from outside, with yardsticks that are not part of it.

    python bench/yardstick.py cost        server CPU per delivery against a bare send loop, in turn;
                                          --encoding sbe: with binary frames
    python bench/yardstick.py throughput  2 and 5 million deliveries a second; random subsets
    python bench/yardstick.py isolation   a quiet population beside one that comes and goes
    python bench/yardstick.py slow        clients that stop reading
    python bench/yardstick.py idle        8,000 connections
    python bench/yardstick.py agreement   `tickgate bench` and the swarm, attached at once

The yardsticks are three small C programs (a tick source, a swarm of subscribers, a bare send loop)
found through TICKGATE_TOOLS, else `../shared/tools`; each is built at first use. The server runs on
core 0, everything else on core 1. Method and reading: bench/README.md.
"""

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(os.environ.get("TICKGATE_TOOLS", ROOT.parent / "shared" / "tools"))
BUILD = Path(tempfile.gettempdir()) / "tickgate-yardsticks"
READY_S = 60  # a busy machine takes its time to start a gateway
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SBE_HEADER = "Sec-WebSocket-Protocol: tickgate.v1.sbe\r\n"
SBE_EVENT_AT = "16"  # `tsEvent` of a record at its frame's begin: all but a topic's first
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
def gateway(
    *settings: str, cpu: str | None = "0", environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Our gateway with a `udp` feed."""
    ports = [free_port() for _ in range(3)]
    values = [f"listen.port={ports[0]}", f"ops.port={ports[1]}", "feeds.0.type=udp"]
    values += [f"feeds.0.port={ports[2]}", "log.level=error", "recorder.enabled=false"]
    # Ring and log take all their memory at once: what grows later is the clients'.
    values += ["memory.populate=start", *settings]
    command = [str(Path(sys.executable).parent / "tickgate"), "serve"]
    command += [word for value in values for word in ("--set", value)]
    pin = ["taskset", "-c", cpu] if cpu else []
    with stopped(
        subprocess.Popen([*pin, *command], env=os.environ | (environment or {}))
    ) as process:
        wait_ready(ports[1])
        yield Server(process, ports[0], ports[2], ports[1])


def wait_ready(ops_port: int) -> None:
    from urllib.error import URLError
    from urllib.request import urlopen

    deadline = time.monotonic() + READY_S
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


def measure(
    server: Server,
    clients: int,
    rate: float,
    warm: float,
    dur: float,
    encoding: str = "json",
) -> dict[str, float]:
    """One run of one symbol to all clients; adds the server's CPU per delivery."""
    subscribe = ["--sub", SUBSCRIBE % ("trade", "SYM000.SIM")] if server.ops_port else []
    if encoding == "sbe":
        subscribe += ["--hdr", SBE_HEADER, "--bin", SBE_EVENT_AT]
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


def cost(pairs: int, clients: int, rate: float, encoding: str) -> None:
    ratios = []
    for n in range(pairs):
        with gateway() as server:
            ours = measure(server, clients, rate, 2, 6, encoding)
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
            got["server_total_p99_us"] = stage(server, "total")["p99_us"]
        print(f"{rate} ticks/s to 100 clients: " + json.dumps(got), flush=True)
    with gateway() as server:
        print("100 symbols, 500 clients of 20 random ones, 20,000 ticks/s: ", end="")
        print(json.dumps(random_symbols(server, 25, 20, 20_000)), flush=True)


def random_symbols(server: Server, groups: int, each: int, rate: float) -> dict[str, float]:
    """Groups of clients, each with a random fifth of 100 symbols; everything must arrive."""
    chance = random.Random(1)
    loads = []
    for _ in range(groups):
        symbols = [f"SYM{n:03d}.SIM" for n in chance.sample(range(100), 20)]
        request = {"method": "subscribe", "params": {"channel": "trade", "symbol": symbols}}
        loads.append(swarm(server, each, 3, 6, "--sub", json.dumps(request)))
    for load in loads:
        opened(load)
    with ticks(server.udp_port, rate, 12, symbols=100):
        runs = [json.loads(load.communicate(timeout=60)[0]) for load in loads]
    return {
        "per_s": sum(run["per_s"] for run in runs),
        "expected_per_s": rate / 100 * 20 * groups * each,
        "closed": sum(run["closed"] for run in runs),
        "p99_us": max(run["p99_us"] for run in runs),
        "server_total_p99_us": stage(server, "total")["p99_us"],
    }


COLLECTING = """
import gc, threading, time
def run():
    while True:
        time.sleep(1)
        gc.collect()
threading.Thread(target=run, daemon=True).start()
"""


def isolation(cpus: str) -> None:
    """50 ticks/s to 500 clients, quiet; then while 500 others a second come, ask and go.

    `churn` asks for a symbol of its own; `same` for the same one, which doubles each tick's sends;
    `collect` is quiet, but every process of the gateway collects its garbage each second.
    """
    BUILD.mkdir(exist_ok=True)
    (BUILD / "sitecustomize.py").write_text(COLLECTING)
    for name in ("quiet", "churn", "collect", "same") * 3:
        environment = {"PYTHONPATH": str(BUILD)} if name == "collect" else {}
        with gateway(cpu=cpus, environment=environment) as server:
            load = swarm(server, 500, 2, 10, "--sub", SUBSCRIBE % ("trade", "SYM000.SIM"))
            opened(load)
            symbol = {"churn": "SYM001.SIM", "same": "SYM000.SIM"}.get(name)
            churn = churner(server, symbol) if symbol else None
            with ticks(server.udp_port, 50, 14):
                got = json.loads(load.communicate(timeout=60)[0])
            got["server_total_p99_us"] = stage(server, "total")["p99_us"]
            print(f"{name}: " + json.dumps(got), flush=True)
            if churn:
                print("  churn: " + churn.communicate(timeout=60)[0].strip(), flush=True)


def churner(server: Server, symbol: str) -> "subprocess.Popen[str]":
    target, source = BUILD / "churn", ROOT / "bench" / "churn.c"
    BUILD.mkdir(exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", target, source], check=True)
    command = ["taskset", "-c", "1", str(target), str(server.client_port)]
    command += ["500", "2000", "13", symbol]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def slow(pause_s: float) -> None:
    """50 of 500 conflating clients stop reading at 5,000 ticks/s; then lossless ones pause."""
    request = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["SYM000.SIM"]}}
    conflated = json.loads(json.dumps(request))
    conflated["params"]["mode"] = "conflate"
    with gateway() as server, ticks(server.udp_port, 5000, 2 * pause_s + 30):
        worker = worker_pid(server)
        reading = swarm(server, 450, 1, 2 * pause_s, "--sub", json.dumps(conflated))
        opened(reading)
        stopped_ones = swarm(server, 50, 1, 2 * pause_s, "--sub", json.dumps(conflated))
        opened(stopped_ones)
        time.sleep(pause_s / 2)
        quiet, memory = stage(server, "total")["p99_us"], rss_mb(worker)
        stopped_ones.send_signal(signal.SIGSTOP)
        time.sleep(pause_s)
        print(
            f"rss before {memory:.1f} MB, after {pause_s:g} s {rss_mb(worker):.1f} MB", flush=True
        )
        print(
            f"total p99 before {quiet:.0f} us, window after: {stage(server, 'total')}", flush=True
        )
        stopped_ones.send_signal(signal.SIGCONT)
        print("reading: " + reading.communicate(timeout=2 * pause_s + 60)[0].strip(), flush=True)
        print(
            "stopped: " + stopped_ones.communicate(timeout=2 * pause_s + 60)[0].strip(), flush=True
        )
    for pause, rate in ((0.1, 20_000), (5.0, 20_000)):
        with gateway() as server, ticks(server.udp_port, rate, 20):
            load = swarm(server, 1, 1, 12, "--sub", json.dumps(request))
            opened(load)
            time.sleep(2)
            load.send_signal(signal.SIGSTOP)
            time.sleep(pause)
            load.send_signal(signal.SIGCONT)
            got = json.loads(load.communicate(timeout=60)[0])
            print(f"lossless reader pausing {pause} s: closed {got['closed']}", flush=True)


def idle() -> None:
    """8,000 connections that say nothing: how fast they come in, what each takes."""
    with gateway() as server:
        worker = worker_pid(server)
        memory, used, descriptors = rss_mb(worker), cpu_s([worker]), fds(worker)
        load = swarm(server, 8000, 2, 4)
        assert load.stderr is not None
        print(load.stderr.readline().strip(), flush=True)
        time.sleep(1)
        print(
            f"rss per connection {(rss_mb(worker) - memory) / 8:.2f} KB, "
            f"descriptors per connection {(fds(worker) - descriptors) / 8000:.3f}, "
            f"worker CPU per connection {(cpu_s([worker]) - used) / 8000 * 1e6:.0f} us",
            flush=True,
        )
        load.communicate(timeout=60)


def agreement(rounds: int = 5) -> None:
    """Our load test and the yardstick listen to the same traffic at once: do they say the same?"""
    request = SUBSCRIBE % ("trade", "SYM000.SIM")
    ratios: dict[str, list[float]] = {"p50_us": [], "p99_us": [], "per_s": []}
    for _ in range(rounds):
        with gateway() as server, ticks(server.udp_port, 1000, 20):
            bench = [str(Path(sys.executable).parent / "tickgate"), "bench", "--quiet"]
            bench += ["--url", f"ws://127.0.0.1:{server.client_port}/v1", "--clients", "100"]
            bench += ["--symbols", "SYM000.SIM", "--warmup", "3", "--duration", "8", "--json", "-"]
            pin = ["taskset", "-c", "1"]
            load = swarm(server, 100, 3, 8, "--sub", request)
            ours = subprocess.run(
                [*pin, *bench], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
            )
            theirs = json.loads(load.communicate(timeout=60)[0])
        found = json.loads(ours.stdout)["latency"]
        for name, values in ratios.items():
            values.append(found[name] / theirs[name])
        print(
            " ".join(
                f"{n} {found[n]:.0f} : {theirs[n]:.0f} = {v[-1]:.3f}" for n, v in ratios.items()
            ),
            flush=True,
        )
    print("medians: " + " ".join(f"{n} {statistics.median(v):.3f}" for n, v in ratios.items()))


def stage(server: Server, name: str) -> dict[str, float]:
    """A stage's percentiles since the last look but one window, as the server sees them."""
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{server.ops_port}/statusz", timeout=5) as answer:
        found: dict[str, float] = json.load(answer)["stages"][name]
    return found


def worker_pid(server: Server) -> int:
    """The process that serves clients."""
    for pid in server.pids():
        if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise SystemExit("no worker")


def rss_mb(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def fds(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


PLAIN = {"throughput": throughput, "idle": idle, "agreement": agreement}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=["cost", "isolation", "slow", *PLAIN])
    parser.add_argument("--pause", type=float, default=60, help="seconds, of `slow`")
    parser.add_argument("--cpus", default="0", help="of the server, in `isolation`")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--encoding", choices=["json", "sbe"], default="json", help="of `cost`")
    options = parser.parse_args()
    if options.what == "cost":
        cost(options.pairs, options.clients, options.rate, options.encoding)
    elif options.what == "slow":
        slow(options.pause)
    elif options.what == "isolation":
        isolation(options.cpus)
    else:
        PLAIN[options.what]()


if __name__ == "__main__":
    main()
