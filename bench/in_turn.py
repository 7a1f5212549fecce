"""Our own load test with something and without it, in turn: what it costs, and who notices.

    python bench/in_turn.py slow      one client in ten slow, against the same run without those
    python bench/in_turn.py control   the latency controller acting, watching, and taken out
    python bench/in_turn.py encoding  data in binary frames and in JSON, --clients, --rate
    python bench/in_turn.py tls       over TLS and plain, --clients, --rate

A time says little on a shared machine, a ratio of two runs side by side more: the sides alternate,
their order rotates, and what counts is the median over the rounds. Exit codes: 0 the promise holds,
1 it does not, 3 the clients themselves were the bottleneck in a round. Method: bench/README.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.loadtest.result import GroupResult, Result, from_json
from gateway.loadtest.scenario import DIRECTORY

ROOT = Path(__file__).resolve().parent.parent
RATIO_SLOW_MAX = 1.2
"""Readers' p99 with slow clients beside them, to that without."""
RATIO_COST_MAX = 1.03
"""CPU for each delivery with monitor and controller, to that without."""
JUDGED = (0, 3, 99)
"""Exit codes of a load test that has a result."""
READERS = "readers"

OFF = """
import sys
if {"gateway.cli", "gateway.process"} & set(sys.orig_argv):
    from gateway import _native
    from gateway.ops.objective import Watch
    _plane = _native.Plane
    _native.Plane = lambda **options: _plane(**options | {"target_ns": 0, "enforce": False})
    Watch.sample = lambda self, now_s: False
"""
"""Taken out, as a sitecustomize.py of the gateway's processes: the planes have no target, so that
they have no controller, and the monitor never looks. No setting does that, nor has one to."""

COST: dict[str, Any] = {
    "warmup_s": 2,
    "source": {"channels": ["trade", "bbo"], "symbols": 50, "rate": 8000},
    "groups": [
        {"name": "trades", "clients": 300},
        {"name": "quotes", "clients": 300, "channel": "bbo"},
        {"name": "screens", "clients": 400, "channel": "bbo", "class": 2},
    ],
    # Far from it: what is measured is the looking, not what is done about what was seen.
    "gateway": {"slo": {"target_us": 1_000_000}},
}
"""80,000 deliveries a second of all classes: a load that leaves time to spare."""


@dataclass(frozen=True)
class Side:
    """One of those that take turns.

    Attributes:
        name: what it is called.
        scenario: what is run.
        environment: of all its processes.
    """

    name: str
    scenario: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)


def run(side: Side, directory: Path, options: Sequence[str]) -> Result:
    """One run of one side.

    Raises:
        SystemExit: there is no result.
    """
    file = directory / f"{side.name}.json"
    scenario = directory / f"{side.name}.toml"
    scenario.write_text("\n".join(lines(side.scenario)) + "\n", encoding="utf-8")
    program = str(Path(sys.executable).parent / "tickgate")
    command = [program, "bench", str(scenario), "--quiet", "--json", str(file), *options]
    environment = os.environ | side.environment
    code = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if code.returncode not in JUDGED:
        raise SystemExit(f"{side.name}: exit code {code.returncode}")
    return from_json(file.read_bytes(), side.name)


def lines(document: Mapping[str, Any]) -> list[str]:
    """A scenario as TOML: JSON's values, with inline tables."""
    return [f"{key} = {_toml(value)}" for key, value in document.items()]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(inner)}' for key, inner in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def in_turn(
    sides: Sequence[Side], rounds: int, directory: Path, options: Sequence[str]
) -> dict[str, list[Result]]:
    """The results of each side, round by round."""
    found: dict[str, list[Result]] = {side.name: [] for side in sides}
    for number in range(rounds):
        first = number % len(sides)
        for side in [*sides[first:], *sides[:first]]:
            found[side.name].append(run(side, directory, options))
    return found


def invalid(found: Mapping[str, Sequence[Result]]) -> bool:
    """Says which rounds are not the server's alone."""
    told = {
        f"{name}, round {number}: {why}"
        for name, results in found.items()
        for number, result in enumerate(results)
        for why in result.invalid_because
    }
    print("".join(f"not valid: {one}\n" for one in sorted(told)), end="")
    return bool(told)


def verdict(broken: Sequence[str], found: Mapping[str, Sequence[Result]]) -> int:
    """Says what became of the promise; the exit code."""
    if invalid(found):
        return 3
    print(f"BROKEN: {'; '.join(broken)}" if broken else "HOLDS", flush=True)
    return 1 if broken else 0


# --- one client in ten slow -----------------------------------------------------------------------


def slow(rounds: int, directory: Path, options: Sequence[str]) -> int:
    """Only slow clients are degraded, each is told, and the others' p99 stays."""
    from gateway.document import read_toml

    scenario = read_toml(ROOT / DIRECTORY / "slow_10pct.toml")
    assert isinstance(scenario, dict)
    alone = [group for group in scenario["groups"] if group["name"] == READERS]
    sides = [
        Side("with", scenario | {"thresholds": []}),
        Side("without", scenario | {"thresholds": [], "groups": alone}),
    ]
    found = in_turn(sides, rounds, directory, options)
    broken, ratios = [], []
    for number, (beside, quiet) in enumerate(zip(found["with"], found["without"], strict=True)):
        ages = [one.groups[READERS].latency for one in (beside, quiet)]
        p99s = [age.p99_us if age else float("nan") for age in ages]
        ratios.append(p99s[0] / p99s[1])
        told = {name: group.slow_clients for name, group in beside.groups.items()}
        print(
            f"round {number}: p99 of {READERS} {p99s[0]:.0f} us with, {p99s[1]:.0f} us without,"
            f" ratio {ratios[-1]:.3f}; told that they are slow: {told}",
            flush=True,
        )
        broken += [f"round {number}: {why}" for why in noticed(beside.groups)]
    ratio = statistics.median(ratios)
    print(f"ratio: median {ratio:.3f}, at most {RATIO_SLOW_MAX}")
    if not ratio <= RATIO_SLOW_MAX:
        broken.append(f"the readers' p99 is {ratio:.3f} times that without slow clients")
    return verdict(broken, found)


def noticed(groups: Mapping[str, GroupResult]) -> list[str]:
    """What else than the slow ones was touched, and who of them was not told."""
    wrong = []
    for name, group in groups.items():
        if name == READERS:
            figures = {
                "notices of slowness": group.slow_notices,
                "conflated": group.conflated,
                "gaps": group.gaps,
                "closed": group.closed,
            }
            wrong += [f"{name}: {what} {value}" for what, value in figures.items() if value]
        elif group.slow_clients != group.clients:
            wrong.append(f"{name}: {group.slow_clients} of {group.clients} were told")
    return wrong


# --- what the controller costs --------------------------------------------------------------------


def control(rounds: int, directory: Path, options: Sequence[str]) -> int:
    """CPU for each delivery with the controller acting or watching, to that without it."""
    (directory / "sitecustomize.py").write_text(OFF, encoding="utf-8")
    gateway = COST["gateway"]["slo"]
    sides = [
        Side("enforce", COST | {"gateway": {"slo": gateway | {"enforce": True}}}),
        Side("observe", COST | {"gateway": {"slo": gateway | {"enforce": False}}}),
        Side("off", COST, {"PYTHONPATH": str(directory)}),
    ]
    found = in_turn(sides, rounds, directory, options)
    costs = {name: [cost(one) for one in results] for name, results in found.items()}
    for number in range(rounds):
        shown = ", ".join(f"{name} {costs[name][number]:.3f} us" for name in costs)
        print(f"round {number}: CPU a delivery {shown}", flush=True)
    broken = []
    for name in ("enforce", "observe"):
        ratio = statistics.median(a / b for a, b in zip(costs[name], costs["off"], strict=True))
        print(f"{name} : off, median {ratio:.4f}, at most {RATIO_COST_MAX}")
        if not ratio <= RATIO_COST_MAX:
            broken.append(f"{name} costs {ratio:.4f} times as much")
    return verdict(broken, found)


def cost(result: Result) -> float:
    """CPU for each delivery, in microseconds.

    Raises:
        SystemExit: nothing was delivered.
    """
    each = result.server.cpu_us_per_delivery if result.server else None
    if each is None:
        raise SystemExit("nothing was delivered")
    return each


# --- two results side by side ---------------------------------------------------------------------

ALL: dict[str, Any] = {"groups": [{"name": "all", "clients": 100}]}


def encoding(rounds: int, directory: Path, options: Sequence[str]) -> int:
    """What a delivery costs the gateway, and how old it is at the clients, in either encoding."""
    sides = [Side(name, ALL | {"encoding": name}) for name in ("json", "sbe")]
    return compared(sides, rounds, directory, options)


def tls(rounds: int, directory: Path, options: Sequence[str]) -> int:
    """The same over TLS, with a certificate of the curve P-256."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.certificates import Authority

    authority = Authority(directory)
    cert, key = authority.sign("gateway", "IP:127.0.0.1")
    gateway = {"tls": {"cert": cert, "key": key}, "ops": {"tls": False}}
    sides = [
        Side("plain", ALL),
        Side("tls", ALL | {"gateway": gateway}, {"SSL_CERT_FILE": authority.cert}),
    ]
    return compared(sides, rounds, directory, options)


def compared(sides: Sequence[Side], rounds: int, directory: Path, options: Sequence[str]) -> int:
    """Two sides' figures, and the second's to the first's, pair by pair. Nothing is promised."""
    found = in_turn(sides, rounds, directory, options)
    figures = {name: [_figures_of(one) for one in results] for name, results in found.items()}
    for number in range(rounds):
        for name, rows in figures.items():
            shown = ", ".join(f"{what} {value:.3f}" for what, value in rows[number].items())
            print(f"round {number}: {name} {shown}", flush=True)
    first, second = figures
    for what in figures[first][0]:
        before, after = ([row[what] for row in figures[name]] for name in (first, second))
        ratio = statistics.median(b / a if a else 1.0 for a, b in zip(before, after, strict=True))
        medians = ", ".join(
            f"{name} {statistics.median(values):.3f}"
            for name, values in ((first, before), (second, after))
        )
        print(f"{what}: medians {medians}, {second} : {first} {ratio:.3f}")
    return 3 if invalid(found) else 0


def _figures_of(result: Result) -> dict[str, float]:
    own = result.arrival or result.latency
    return {
        "CPU us/delivery": cost(result),
        "per_s": result.latency.per_s,
        "p50 us": result.latency.p50_us,
        "p99 us": result.latency.p99_us,
        "p99 us at the kernel": own.p99_us,
        "clients busy": result.client.busy,
        "reach": result.reach or 0.0,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["slow", "control", "encoding", "tls"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server-cpus", default="0")
    parser.add_argument("--client-cpus", default="1")
    parser.add_argument("--clients", default="", help="of `encoding` and `tls`")
    parser.add_argument("--rate", default="", help="ticks a second, of the same")
    parser.add_argument("--warmup", default="", help="seconds, instead of the scenario's")
    parser.add_argument("--duration", default="", help="seconds, instead of the scenario's")
    given = parser.parse_args()
    passed = ("server_cpus", "client_cpus", "clients", "rate", "warmup", "duration")
    values = {f"--{name.replace('_', '-')}": getattr(given, name) for name in passed}
    options = [word for option, value in values.items() if value for word in (option, value)]
    with tempfile.TemporaryDirectory(prefix="tickgate-in-turn-") as name:
        experiments = {"slow": slow, "control": control, "encoding": encoding, "tls": tls}
        experiment = experiments[given.what]
        return experiment(given.rounds, Path(name), options)


if __name__ == "__main__":
    sys.exit(main())
