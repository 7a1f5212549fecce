"""Attacks a gateway beside honest clients: what do these notice, and what does it cost?

    python bench/attack.py NAME [NAME ...] [--tls] [--pairs 3] [--clients 500]
    python bench/attack.py all --tls

NAME is one of bench/attackers.py. A gateway is started that wants tokens, with the limits of
configs/production.toml; with `--tls` over TLS. Honest clients are the load test's own, each with a
token, from ten addresses; attackers have a hundred others. Runs alone and beside the attack
alternate on the same gateway. An attack is withstood (HOLDS) if the honest clients' p99 beside it
is at most 1.5 times that alone, none of them was closed or kept out, and the gateway's memory rose
by no more than its limits allow. Exit codes: 0 all hold, 1 one does not, 3 the clients' own core
was what was measured. Method and figures: bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import threading
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from attackers import KINDS, TLS_ONLY
from attackers_words import Aim
from bystander import BYSTANDERS, NAME, RATIO_MAX, Half, Moment, Pair
from bystander import KINDS as AGES
from bystander_processes import Disturber, Gateway, Machine, helper, make_topics, start
from support.certificates import Authority
from support.identity import Issuer

from gateway.errors import TickgateError
from gateway.loadtest.children import Children
from gateway.loadtest.environment import environment
from gateway.loadtest.processes import family, resident_bytes
from gateway.loadtest.run import Settings, run
from gateway.loadtest.scenario import from_document
from gateway.loadtest.thresholds import judge

PRODUCTION = Path(__file__).parents[1] / "configs" / "production.toml"
TOPICS = 100
RATE = 490
"""Ticks a second; as in bench/bystander.py, the kernel's ticks do not divide it."""
SYMBOLS_EACH = 10
HONEST_ADDRESSES = 10
LOOK_S = 0.1
CLIENT_BYTES = 20_000
"""What a client takes that was let in (configs/production.toml)."""
SLACK_BYTES = 16 << 20
"""What the allocators of four processes keep beside what is in use."""
TRIES = 2
"""Pairs that are made for each valid one, at most."""
WARMUP_S = 2.0
"""The attack has begun so long before the window does; the honest clients are there before."""
LATE_MAX_S = 1.0
"""An attack that begins later has no time before the window."""
DURATION_S = 3.0
AFTER_S = 1.0
COUNTERS = re.compile(
    r"(?m)^tickgate_(handshakes_total|tls_handshakes_total|admission_refused_total|auth_total"
    r"|closes_total|accept_errors_total|subscribe_rejected_total|requests_total)"
    r"\{([^}]*)\} (\S+)"
)
WELCOME = ("ok", "resumed", "cached", "closed", "1000", "1001", "1006")
"""Ends that are no refusals."""


def clients(count: int) -> dict[str, Any]:
    """The honest ones' load test."""
    group = BYSTANDERS | {"clients": count, "pick": "random", "symbols_each": SYMBOLS_EACH}
    return {
        "name": "attack",
        "warmup_s": WARMUP_S,
        "duration_s": DURATION_S,
        "grace_s": AFTER_S,
        "sources": HONEST_ADDRESSES,
        "source": {"symbols": TOPICS, "rate": RATE},
        "groups": [group],
    }


# --- what is looked at ---------------------------------------------------------------------------


class Memory:
    """The most that the gateway's processes hold, by looks on a thread."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self.before = self.peak = self.now()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def now(self) -> int:
        """Bytes."""
        return resident_bytes(family(self._pid))

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            self.peak = max(self.peak, self.now())

    def end(self) -> None:
        """No more looks."""
        self._over.set()
        self._thread.join()


def refusals(gateway: Gateway) -> dict[str, int]:
    """What was refused so far, by counter."""
    with urlopen(f"{gateway.ops}/metrics", timeout=15) as answer:
        text = answer.read().decode()
    found = {}
    for name, labels, value in COUNTERS.findall(text):
        values = re.findall(r'="([^"]*)"', labels)
        if values[-1] not in WELCOME:
            found[f"{name.removesuffix('_total')} {' '.join(values)}"] = int(float(value))
    return found


@dataclass
class Figures:
    """What came of an attack.

    Attributes:
        pairs: runs alone and beside it.
        before, peak, after: bytes that the gateway held before the first, at most, and at the end.
        bound: the most that it may hold.
        refused: by counter, while it was attacked.
        done: by the attackers' own count.
    """

    name: str
    clients: int
    pairs: list[Pair] = field(default_factory=list)
    before: int = 0
    peak: int = 0
    after: int = 0
    bound: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)

    def valid(self) -> list[Pair]:
        """Those that say something of the gateway."""
        return [pair for pair in self.pairs if not pair.invalid()]

    def ratio(self, kind: str) -> float:
        """The median over the pairs."""
        return statistics.median(pair.ratio(kind) for pair in self.valid() or self.pairs)

    def p99_ms(self, half: str, kind: str) -> float:
        """The median over the pairs."""
        halves: list[Half] = [getattr(pair, half) for pair in self.valid() or self.pairs]
        return statistics.median(one.latency(kind).p99_us for one in halves) / 1000

    def lost(self) -> int:
        """Honest clients that were closed or kept out beside the attack."""
        results = [pair.disturbed.result for pair in self.pairs]
        groups = [result.groups[NAME] for result in results]
        return sum(one.closed + one.reconnects + self.clients - one.open for one in groups)

    def verdict(self) -> tuple[int, str]:
        """An exit code, and what is said."""
        why = []
        if (lost := self.lost()) > 0:
            why.append(f"{lost} honest clients were closed or kept out")
        if self.peak > self.bound:
            why.append("memory is beyond its bound")
        if self.ratio("arrival") > RATIO_MAX:
            why.append(f"p99 is {self.ratio('arrival'):.2f} times that alone")
        if why:
            return 1, f"FAILS: {', '.join(why)}"
        if not self.valid() or self.ratio("age") > RATIO_MAX:
            return 3, "NOT VALID"
        return 0, "HOLDS"

    def row(self) -> str:
        """Of the table."""
        p99 = [f"{self.p99_ms(half, 'age'):.2f}" for half in ("quiet", "disturbed")]
        memory = [f"{size / 1e6:.0f}" for size in (self.before, self.peak, self.after, self.bound)]
        refused = ", ".join(f"{what} {count:,}" for what, count in self.refused.items() if count)
        cells = (
            self.name,
            ", ".join(f"{what} {count:,}" for what, count in self.done.items()),
            *p99,
            " / ".join(f"{self.ratio(kind):.2f}" for kind in AGES),
            str(self.lost()),
            " / ".join(memory),
            refused or "-",
            self.verdict()[1],
        )
        return f"| {' | '.join(cells)} |"


# --- runs ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """Everything that runs, and how a run is made."""

    gateway: Gateway
    attackers: Disturber
    machine: Machine
    load: dict[str, Any]
    token: str

    def measure(self, figures: Figures, attacked: bool) -> Half:
        """One run: what the honest clients got."""
        settings = Settings(
            headers=(("Authorization", f"Bearer {self.token}"),),
            feed=("127.0.0.1", self.gateway.udp_port),
            pid=self.gateway.child.pid,
            client_cpus=self.machine.client_cpus,
        )
        action = (lambda: self.attackers.order("begin")) if attacked else None
        left_s = WARMUP_S + DURATION_S + AFTER_S
        view = Moment(action, left_s, self.machine.server_cpus)
        self.attackers.order("prepare")
        before = refusals(self.gateway)
        scenario = from_document(self.load | {"url": self.gateway.url})
        outcome = run(scenario, settings, view, environment())
        view.end()
        done: dict[str, int] = {}
        if attacked:
            done = self.attackers.order("end")
            for what, count in refusals(self.gateway).items():
                more = count - before.get(what, 0)
                figures.refused[what] = figures.refused.get(what, 0) + more
            for what, count in done.items():
                figures.done[what] = figures.done.get(what, 0) + count
        result = judge(outcome.result, [])
        own = result.server.cpu_s / result.duration_s if result.server else 0.0
        late_s = view.late_s if view.late_s > LATE_MAX_S else 0.0
        return Half(result, view.used - own, late_s, done)


def production() -> dict[str, Any]:
    """The limits of configs/production.toml."""
    limits: dict[str, Any] = tomllib.loads(PRODUCTION.read_text())["limits"]
    return limits


def settings_of(issuer: Issuer, authority: Authority | None) -> list[str]:
    """Of the gateway, beside those that bench/bystander.py gives it."""
    sets = [*issuer.sets(), "memory.populate=start", "limits.ping_interval_s=15"]
    sets += [f"limits.{name}={value}" for name, value in production().items()]
    if authority is not None:
        cert, key = authority.sign("gateway", "IP:127.0.0.1")
        sets += [f"tls.cert={cert}", f"tls.key={key}", "ops.tls=false"]
    return sets


def strange_tokens(issuer: Issuer, directory: Path) -> list[str]:
    """None of them is good."""
    (directory / "other").mkdir()
    other = Issuer(directory / "other", "EdDSA")
    forged = other.token("mallory")
    head, claims, signature = forged.split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"  # {"alg":"none","typ":"JWT"}
    other.keys[0]["kid"] = "nobody-knows"
    turned = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    return [
        forged,
        f"{none}.{claims}.",
        other.token("mallory"),
        f"{head}.{claims}.{turned}",
        issuer.token("mallory", ttl_s=-3600),
    ]


def attack(name: str, options: argparse.Namespace) -> Figures:
    """All pairs of one attack."""
    with tempfile.TemporaryDirectory() as text, Children() as children:
        directory = Path(text)
        issuer = Issuer(directory, "EdDSA")
        authority = Authority(directory) if options.tls else None
        if authority is not None:
            os.environ["SSL_CERT_FILE"] = authority.cert
        machine = Machine(
            python=sys.executable,
            settings=[*settings_of(issuer, authority), *options.set],
            ports=0,
            server_cpus=options.server_cpus,
            client_cpus=options.client_cpus,
        )
        gateway = start(children, machine, ())
        make_topics(gateway, TOPICS)
        where = urlsplit(gateway.url)
        aim = Aim(
            address=str(where.hostname),
            port=where.port or 0,
            ca=authority.cert if authority else "",
            token=issuer.token("mallory"),
            strange=strange_tokens(issuer, directory),
        )
        words = [
            name,
            json.dumps(asdict(aim)),
            str(options.attackers),
            *(["last"] if options.last else []),
        ]
        with helper("attackers.py", words, machine.client_cpus) as attackers:
            bench = Bench(
                gateway, attackers, machine, clients(options.clients), issuer.token("desk")
            )
            bench.measure(Figures(name, 0), attacked=False)  # what is made once is there then
            return _pairs(name, bench, options)


def _pairs(name: str, bench: Bench, options: argparse.Namespace) -> Figures:
    figures = Figures(name, options.clients)
    memory = Memory(bench.gateway.child.pid)
    try:
        while len(figures.valid()) < options.pairs and len(figures.pairs) < TRIES * options.pairs:
            pair = Pair(bench.measure(figures, False), bench.measure(figures, True))
            figures.pairs.append(pair)
            print(f"pair {len(figures.pairs)}: {pair.shown()}", flush=True)
            print("".join(f"  not valid: {why}\n" for why in pair.invalid()), end="", flush=True)
    finally:
        memory.end()
    figures.before, figures.peak, figures.after = memory.before, memory.peak, memory.now()
    let_in = options.attackers or KINDS[name].parallel
    budget = production().get("handshake_memory_bytes", 64 << 20)
    figures.bound = memory.before + budget + CLIENT_BYTES * let_in + SLACK_BYTES
    return figures


HEAD = (
    "| attack | what attackers count | p99 alone, ms | beside, ms | ratio, client / kernel | lost |"
    " MB before / peak / after / bound | refused | |",
    "|---|---|---|---|---|---|---|---|---|",
)


def _cpus(text: str) -> list[int]:
    return [int(word) for word in text.split(",")] if text else []


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("attack", nargs="+", choices=[*KINDS, "all"], metavar="NAME")
    parser.add_argument("--tls", action="store_true", help="the gateway has a certificate")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--clients", type=int, default=500, help="honest ones")
    parser.add_argument("--attackers", type=int, default=0, help="at a time; 0: as the attack has")
    parser.add_argument(
        "--first",
        dest="last",
        action="store_false",
        help="attackers have the usual priority: on a busy machine, where they hardly run else",
    )
    parser.add_argument("--set", action="append", default=[], help="of the gateway, KEY=VALUE")
    both = len(os.sched_getaffinity(0)) > 1
    parser.add_argument("--server-cpus", type=_cpus, default=[0] if both else [])
    parser.add_argument("--client-cpus", type=_cpus, default=[1] if both else [])
    options = parser.parse_args()
    wanted = list(KINDS) if "all" in options.attack else options.attack
    wanted = [name for name in wanted if options.tls or name not in TLS_ONLY]
    if options.client_cpus:
        os.sched_setaffinity(0, options.client_cpus)  # this program too is none of the gateway's
    found: list[Figures] = []
    try:
        for name in wanted:
            print(f"{name}: {' '.join((KINDS[name].__doc__ or name).split())}", flush=True)
            found.append(attack(name, options))
            print(found[-1].row(), flush=True)
    except TickgateError as error:
        raise SystemExit(str(error)) from None
    if len(found) > 1:
        print("\n".join((*HEAD, *(one.row() for one in found))))
    codes = [one.verdict()[0] for one in found]
    return 1 if 1 in codes else max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
