"""All of the gateway on one core, the clients on another: does `total` say what clients see?

    python bench/one_core.py                    20,000 ticks/s to 100 clients, three rounds
    python bench/one_core.py --rate 50000 --clients 100 --rounds 5

Feed, data plane, loop and supervisor share a core, so that each waits for the others. A round is a
gateway of its own under `tickgate bench`; the gateway's stages are of seconds inside its window,
from /statusz. Exit codes: 0 the medians hold, 1 they do not, 3 in no round were the clients fast
enough to judge. Method: bench/README.md.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import yardstick

from gateway.loadtest.result import Latency, Result, from_json

STAGES = ("wire", "ingest", "ring", "fanout", "total")
RATIO_MAX = 1.3
"""p99 at the clients' kernel to that of `total`: the source's lateness is in it, what the clients'
core takes to read is not."""
CLIENTS_P99_MAX_US = 10_000
DURATION_MAX_S = 9
"""The stages of a window are exact between two looks that are less than 10 s apart."""
SLACK_S = 1.0
"""The load test's window is so much longer than that between the looks, which lie inside it."""
BEGIN_MAX_S = 20.0
"""Longest time until the first record of the load test's warm-up."""
JUDGED = (0, 3)
"""Exit codes of a load test that has a result."""


class Percentiles(NamedTuple):
    """Microseconds."""

    p50: float
    p99: float

    def __str__(self) -> str:
        return f"{self.p50:.0f}/{self.p99:.0f}"


class Round(NamedTuple):
    """What one round measured.

    `clients` is the age of what the clients read, `kernel` of the same until their kernel had it,
    `late` how late the source was; all three are of the load test. `doubts`: why the clients cannot
    judge the server.
    """

    per_s: float
    cpu_us: float
    stages: dict[str, Percentiles]
    clients: Percentiles
    kernel: Percentiles
    late: Percentiles
    doubts: list[str]

    @property
    def ratios(self) -> tuple[float, float]:
        """Of p99 at the clients and at their kernel to that of `total`."""
        total_us = self.stages["total"].p99
        return self.clients.p99 / total_us, self.kernel.p99 / total_us

    def __str__(self) -> str:
        stages = "  ".join(f"{name} {self.stages[name]}" for name in STAGES)
        return (
            f"{self.per_s:,.0f}/s at {self.cpu_us:.3f} us  {stages}  "
            f"clients {self.clients}  their kernel {self.kernel}  source late {self.late}  "
            f"p99 to total's {self.ratios[0]:.2f}, {self.ratios[1]:.2f}"
            + "".join(f"  NOT VALID: {why}" for why in self.doubts)
        )


def percentiles(latency: Latency | None) -> Percentiles:
    """Of a latency that was measured.

    Raises:
        SystemExit: it was not.
    """
    if latency is None:
        raise SystemExit("nothing was delivered")
    return Percentiles(latency.p50_us, latency.p99_us)


def round_of(result: Result, window: Mapping[str, Mapping[str, float]]) -> Round:
    """Puts the load test's result and the gateway's stages of the same seconds together."""
    latency = result.latency
    return Round(
        per_s=latency.per_s if latency else 0.0,
        cpu_us=(result.server and result.server.cpu_us_per_delivery) or 0.0,
        stages={
            name: Percentiles(window[name]["p50_us"], window[name]["p99_us"]) for name in STAGES
        },
        clients=percentiles(latency),
        kernel=percentiles(result.arrival),
        late=percentiles(result.source.late if result.source else None),
        doubts=list(result.invalid_because),
    )


def window_now(server: yardstick.Server) -> dict[str, Any]:
    """The stages since the look before, as the gateway has them."""
    with urlopen(f"http://127.0.0.1:{server.ops_port}/statusz", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)["window"]
    return found


def begun(server: yardstick.Server) -> None:
    """Waits for the first record: the load test warms up from then on."""
    deadline_s = time.monotonic() + BEGIN_MAX_S
    while time.monotonic() < deadline_s:
        with urlopen(f"http://127.0.0.1:{server.ops_port}/metrics", timeout=5) as answer:
            if re.search(rb"^tickgate_feed_records_total{[^}]*} [^0]", answer.read(), re.MULTILINE):
                return
        time.sleep(0.05)
    raise SystemExit("no record came")


@contextmanager
def load(
    server: yardstick.Server, options: argparse.Namespace, file: Path, *words: str
) -> Iterator[int]:
    """A load test of that server, in its window from here on; the file has its result at the end.

    Yields:
        The process of the load test.

    Raises:
        SystemExit: it has no result.
    """
    command = [str(Path(sys.executable).parent / "tickgate"), "bench", *words, "--quiet"]
    command += ["--url", f"ws://127.0.0.1:{server.client_port}/v1"]
    command += ["--feed", f"127.0.0.1:{server.udp_port}", "--client-cpus", options.client_cpus]
    process = subprocess.Popen([*command, "--json", str(file)], stdout=subprocess.DEVNULL)
    begun(server)
    time.sleep(options.warmup + SLACK_S / 2)
    yield process.pid
    if process.wait(60) not in JUDGED:
        raise SystemExit(f"the load test ended with {process.returncode}")


def measure(options: argparse.Namespace, file: Path) -> Round:
    """One round, with a gateway of its own."""
    words = ["--clients", str(options.clients), "--rate", str(options.rate)]
    words += ["--encoding", options.encoding]
    words += ["--warmup", str(options.warmup), "--duration", str(options.duration + SLACK_S)]
    with (
        yardstick.gateway(cpu=options.server_cpus) as server,
        load(server, options, file, *words),
    ):
        window_now(server)
        time.sleep(options.duration)
        window = window_now(server)
    return round_of(from_json(file.read_bytes(), "one core"), window)


def verdict(rounds: Sequence[Round]) -> int:
    """Says whether the medians of the valid rounds hold; the exit code."""
    valid = [one for one in rounds if not one.doubts]
    ratios = [one.ratios for one in valid]
    if not valid:
        print("the clients were too slow to judge in every round")
        return 3
    at_clients, at_kernel = (statistics.median(each) for each in zip(*ratios, strict=True))
    clients_us = statistics.median(one.clients.p99 for one in valid)
    total_us = statistics.median(one.stages["total"].p99 for one in valid)
    holds = at_kernel <= RATIO_MAX and clients_us <= CLIENTS_P99_MAX_US
    print(
        f"{'HOLDS' if holds else 'BROKEN'}: medians of {len(valid)} valid rounds of {len(rounds)}: "
        f"p99 of total {total_us:.0f} us, of the clients {clients_us:.0f} us (at most "
        f"{CLIENTS_P99_MAX_US}), which is {at_clients:.2f} times total's; at their kernel "
        f"{at_kernel:.2f} times (at most {RATIO_MAX})"
    )
    return 0 if holds else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=20_000, help="ticks a second")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds")
    parser.add_argument("--duration", type=float, default=5.0, help="seconds")
    parser.add_argument("--encoding", choices=["json", "sbe"], default="json")
    parser.add_argument("--server-cpus", default="0")
    parser.add_argument("--client-cpus", default="1")
    options = parser.parse_args()
    if not 0 < options.duration <= DURATION_MAX_S:
        parser.error(f"--duration: at most {DURATION_MAX_S}, because of how /statusz is read")
    rounds = []
    with tempfile.TemporaryDirectory(prefix="tickgate-one-core-") as directory:
        for number in range(options.rounds):
            rounds.append(measure(options, Path(directory) / "result.json"))
            print(f"round {number}: {rounds[-1]}", flush=True)
    return verdict(rounds)


if __name__ == "__main__":
    sys.exit(main())
