"""From a scenario to a plan: which client of which group asks for what, and who should get it.

Pure and seeded: the same scenario gives the same plan, in whatever process. Clients are numbered
through all groups in turn; process k of n takes every n-th from the k-th on, so that each process
has its part of every group and symbol. A client sends one text; equal texts are kept once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.loadtest.rules import gateway_limit
from gateway.loadtest.scenario import Group, Scenario
from gateway.model.topic import match_pattern

VENUE: Final = "SIM"

NUMBER: Final = "{n}"
"""What stands for a client's number in a text of the scenario's own; it is no valid JSON, so that
nothing else can be meant."""

_CELLS: Final = 1 << 21
"""Weights drawn at once when subsets are made: 16 MB."""

_NS: Final = 1_000_000_000

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """The clients of one process, as the native swarm takes them, and what they should get."""

    symbols: list[str]
    """Names of the source's instruments, by index."""
    texts: list[bytes]
    """Distinct texts: requests to subscribe, and of groups that resubscribe, to unsubscribe."""
    clients: Int32s
    """Shape (n, 3): group, target, text of each client."""
    groups: list[dict[str, int]]
    """Behaviour of each group in the native swarm's words, times in nanoseconds."""
    group_names: list[str]
    audiences: list[Int64s]
    """Of each group, by symbol: clients that should get each tick of the group's channel; zeros
    where that is not known (`Group.uncountable`)."""


def symbol_names(count: int) -> list[str]:
    """SYM000.SIM and on."""
    return [f"SYM{k:03d}.{VENUE}" for k in range(count)]


def zipf_weights(count: int, exponent: float) -> Weights:
    """Shares of `count` symbols that sum to 1; the k-th has 1/k^exponent of the first one's."""
    weights: Weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    weights /= weights.sum()
    return weights


def subsets(rng: np.random.Generator, clients: int, weights: Weights, each: int) -> Int32s:
    """Distinct symbols of each client, drawn one after the other in proportion to the weights.

    The largest of log(weight) + Gumbel noise are such a draw without replacement (Efraimidis and
    Spirakis 2006, in logarithms), for all clients at once.

    Returns:
        Shape (clients, each), each row ascending.
    """
    logs = np.log(weights)
    rows = max(1, _CELLS // len(weights))
    parts = [np.empty((0, each), dtype=np.int32)]
    for first in range(0, clients, rows):
        keys = logs + rng.gumbel(size=(min(rows, clients - first), len(weights)))
        chosen = np.argpartition(keys, -each, axis=1)[:, -each:]
        parts.append(np.sort(chosen, axis=1).astype(np.int32))
    return np.concatenate(parts)


def plan(scenario: Scenario, *, targets: int = 1, share: tuple[int, int] = (0, 1)) -> Plan:
    """What one process's clients do, of those that `share` = (k, of) deals to it.

    Targets are taken in turn, after a round of the source addresses, so that each pair of both has
    its equal part of the ephemeral ports.

    Raises:
        ValueError: the share is none, or there is no target.
    """
    k, of = share
    if not 0 <= k < of:
        raise ValueError(f"share ({k}, {of}): expected 0 <= k < of")
    if targets < 1:
        raise ValueError(f"{targets} targets: expected at least 1")
    symbols = symbol_names(scenario.source.symbols)
    audiences = []
    texts: dict[bytes, int] = {}
    dealt, behaviours, first = [], [], 0
    for index, group in enumerate(scenario.groups):
        numbers = np.arange(first, first + group.clients)
        mine = numbers % of == k
        rng = np.random.default_rng([scenario.source.seed, index])
        asked = _asked(group, symbols, rng, numbers, mine)
        known = [texts.setdefault(text, len(texts)) for text in asked.texts]
        dealt += [(index, known[text]) for text in asked.text_of.tolist()]
        unknown = np.zeros_like(asked.subscribers)
        audiences.append(unknown if group.uncountable else asked.subscribers)
        off = _unsubscribe(group, symbols, gateway_limit(scenario, "symbols_per_request"))
        behaviours.append(_behaviour(group, texts.setdefault(off, len(texts)) if off else -1))
        first += group.clients
    clients = np.empty((len(dealt), 3), dtype=np.int32)
    clients[:, [0, 2]] = np.array(dealt, dtype=np.int32).reshape(-1, 2)
    clients[:, 1] = np.arange(len(dealt)) // max(1, len(scenario.sources)) % targets
    names = [group.name for group in scenario.groups]
    return Plan(symbols, list(texts), clients, behaviours, names, audiences)


@dataclass(frozen=True)
class _Asked:
    """What the clients of one group ask for, of those in the share."""

    texts: list[bytes]
    text_of: Int64s  # by client
    subscribers: Int64s  # by symbol


def _asked(
    group: Group, symbols: list[str], rng: np.random.Generator, numbers: Int64s, mine: Bools
) -> _Asked:
    """`numbers` are those of all the group's clients, `mine` marks those in the share."""
    count, total = int(mine.sum()), len(symbols)
    if group.subscribe:
        own = [group.subscribe.replace(NUMBER, str(n)).encode() for n in numbers[mine].tolist()]
        distinct = list(dict.fromkeys(own))
        index = {text: k for k, text in enumerate(distinct)}
        text_of = np.array([index[text] for text in own], dtype=np.int64)
        return _Asked(distinct, text_of, np.zeros(total, dtype=np.int64))
    if group.symbols or group.pick == "all":
        patterns = group.symbols or [f"*.{VENUE}"]
        covered = [any(match_pattern(one, name) for one in patterns) for name in symbols]
        each = np.array(covered, dtype=np.int64) * count
        return _Asked([_request(group, patterns)], np.zeros(count, dtype=np.int64), each)
    if group.pick == "one":  # neighbours alike, so that the deal gives all symbols to each process
        turns = np.arange(group.clients) * total // group.clients
        chosen = turns.astype(np.int32).reshape(-1, 1)
    else:
        weights = zipf_weights(total, group.exponent if group.pick == "zipf" else 0.0)
        chosen = subsets(rng, group.clients, weights, group.symbols_each)
    rows, text_of = np.unique(chosen[mine], axis=0, return_inverse=True)
    texts = [_request(group, [symbols[k] for k in row]) for row in rows.tolist()]
    each = np.bincount(chosen[mine].ravel(), minlength=total)
    return _Asked(texts, text_of.reshape(-1), each)


def _request(group: Group, names: Sequence[str], method: str = "subscribe") -> bytes:
    params: dict[str, Any] = {"channel": group.channel, "symbol": list(names)}
    if group.mode and method == "subscribe":
        params["mode"] = group.mode
    if group.class_ is not None and method == "subscribe":
        params["class"] = group.class_
    if group.max_hz is not None and method == "subscribe":
        params["max_hz"] = group.max_hz
    return json.dumps({"method": method, "params": params}, separators=(",", ":")).encode()


def _unsubscribe(group: Group, symbols: list[str], names_max: int) -> bytes:
    """What ends any client's subscription of a group that resubscribes; nothing where none can.

    One text serves the whole group, so it names whatever its clients may have asked for: names that
    this one has not are refused one by one, and do no harm.
    """
    if not group.resubscribe_every_s or group.subscribe:
        return b""
    names = group.symbols or ([f"*.{VENUE}"] if group.pick == "all" else symbols)
    return _request(group, names, "unsubscribe") if len(names) <= names_max else b""


def _behaviour(group: Group, text_off: int) -> dict[str, int]:
    """The group in the native swarm's words. What only has a period first happens after one."""
    return {
        "measured": int(group.measured),
        "read_bytes_per_s": group.read_bytes_per_s,
        "rcvbuf_bytes": group.rcvbuf_bytes,
        "stall_at_ns": _ns(group.stall_at_s or group.stall_every_s),
        "stall_for_ns": _ns(group.stall_for_s),
        "stall_every_ns": _ns(group.stall_every_s),
        "drop_at_ns": _ns(group.drop_at_s or group.drop_every_s),
        "drop_every_ns": _ns(group.drop_every_s),
        "lifetime_ns": _ns(group.lifetime_s),
        "reconnect_ns": _ns(group.reconnect_s),
        "resubscribe_every_ns": _ns(group.resubscribe_every_s),
        "late_acks": int(group.late_acks),
        "text_off": text_off,
    }


def _ns(seconds: float) -> int:
    return round(seconds * _NS)
