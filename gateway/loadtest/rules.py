"""What a scenario may not say although each of its values is good alone."""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.document import in_words
from gateway.loadtest import thresholds
from gateway.model.record import CHANNELS
from gateway.options import LimitsOptions

if TYPE_CHECKING:
    from gateway.loadtest.scenario import Group, Limit, Overload, Scenario, Source

PORTS_MAX: Final = 28_000
"""Clients of one address at one gateway: Linux has 28,232 ephemeral ports for each such pair."""

CONFLATED_CLASS: Final = 2
"""From this class on the gateway may thin out what it sends: nothing there is lossless."""

GROUPS_MAX: Final = 64
"""What the native swarm keeps histograms for."""

WIDTH_MIN: Final = 1.1
"""Ratio of the rates that a limit is searched between: closer ones are told apart by chance."""

Contradiction = tuple[tuple[str, ...], str]


def contradictions(scenario: Scenario) -> Iterator[Contradiction]:
    """(keys, message) of values that are good only alone; the first key is the one to name."""
    yield from _source_contradictions(scenario.source)
    if scenario.cooldown_s and scenario.source.shape not in ("steady", "burst"):
        message = f'found {scenario.cooldown_s}; only shape = "steady" or "burst" goes on after it'
        yield ("cooldown_s", "source.shape"), message
    names: Counter[str] = Counter()
    groups: Sequence[Group | None] = scenario.groups  # None: it could not be read at all
    for n, group in enumerate(groups):
        if group is None:
            continue
        names[group.name] += 1
        if names[group.name] == 2:
            yield (f"groups.{n}.name",), f"found {in_words(group.name)} twice"
        for keys, message in _group_contradictions(group, scenario):
            yield tuple([key.replace("group.", f"groups.{n}.") for key in keys]), message
    if len(groups) > GROUPS_MAX:
        yield ("groups",), f"found {len(groups)} groups; expected at most {GROUPS_MAX}"
    if None not in groups:
        yield from _client_contradictions(scenario)
        yield from _threshold_contradictions(scenario)
    if scenario.limit is not None:
        yield from _limit_contradictions(scenario, scenario.limit)
    if scenario.overload is not None:
        yield from _overload_contradictions(scenario, scenario.overload)


def _source_contradictions(source: Source) -> Iterator[Contradiction]:
    shape = source.shape
    needed = {
        "to_rate": "ramp",
        "burst_rate": "burst",
        "burst_s": "burst",
        "burst_every_s": "burst",
        "capture": "capture",
    }
    for name, user in needed.items():
        value = getattr(source, name)
        if value and shape != user:
            message = f'found {in_words(value)}; only shape = "{user}" has it'
            yield (f"source.{name}", "source.shape"), message
        if not value and shape == user:
            yield (f"source.{name}", "source.shape"), f'missing; shape = "{user}" needs it'
    if 0 < source.burst_every_s <= source.burst_s:
        message = f"found {source.burst_s}; expected less than burst_every_s"
        yield ("source.burst_s", "source.burst_every_s"), message
    if source.capture and not Path(source.capture).is_file():
        yield ("source.capture",), f"found {in_words(source.capture)}; expected a file that exists"
    if len(set(source.channels)) < len(source.channels):
        yield ("source.channels",), f"found {json.dumps(source.channels)}; expected each once"
    if source.via == "embedded" and shape not in ("steady", "burst"):
        message = f'found "{shape}"; the embedded feed has only "steady" or "burst"'
        yield ("source.shape", "source.via"), message


def _group_contradictions(group: Group, scenario: Scenario) -> Iterator[Contradiction]:
    """As `_contradictions`, the group's keys beginning with `group.`."""
    source = scenario.source
    yield from _pick_contradictions(group, scenario)
    yield from _time_contradictions(group)
    yield from _class_contradictions(group)
    yield from _rate_contradictions(group)
    if group.symbols and group.subscribe:
        yield ("group.symbols", "group.subscribe"), "found both symbols and subscribe: keep one"
    if source.via == "none":
        return
    if not group.subscribe and group.channel not in source.channels:
        message = f'found "{group.channel}"; source.channels has {json.dumps(source.channels)}'
        yield ("group.channel", "source.channels"), message
    cause = group.uncountable
    if group.counted and cause:
        message = f"found true; with {cause} it is not known what a client should get: set false"
        yield ("group.expect_all", f"group.{cause}"), message


def _class_contradictions(group: Group) -> Iterator[Contradiction]:
    asked, own = group.class_, CHANNELS[group.channel].priority
    if asked is None:
        return
    if group.subscribe:
        yield ("group.class", "group.subscribe"), "found both class and subscribe: keep one"
    elif asked < own:
        message = f"found {asked}; {group.channel} is of class {own}, which can only be lowered"
        yield ("group.class", "group.channel"), message
    elif asked >= CONFLATED_CLASS and group.mode == "lossless":
        message = f"found {asked}; lossless is only of a class below {CONFLATED_CLASS}"
        yield ("group.class", "group.mode"), message


def _rate_contradictions(group: Group) -> Iterator[Contradiction]:
    if group.max_hz is None:
        return
    if group.subscribe:
        yield ("group.max_hz", "group.subscribe"), "found both max_hz and subscribe: keep one"
    elif group.mode == "lossless":
        yield ("group.max_hz", "group.mode"), "found a rate; what is lossless has none"


def _pick_contradictions(group: Group, scenario: Scenario) -> Iterator[Contradiction]:
    symbols = scenario.source.symbols
    own = bool(group.symbols or group.subscribe)
    for name, default, users in (("symbols_each", 1, "random zipf"), ("exponent", 1.0, "zipf")):
        value = getattr(group, name)
        if value != default and (own or group.pick not in users.split()):
            picks = " or ".join(f'"{user}"' for user in users.split())
            yield (f"group.{name}", "group.pick"), f"found {value}; only pick = {picks} has it"
    if group.pick in ("random", "zipf") and group.symbols_each > symbols:
        message = f"found {group.symbols_each}; source.symbols is {symbols}"
        yield ("group.symbols_each", "source.symbols"), message
    # A client sends one text, so all it asks for must fit one request.
    for name, value in (("symbols_each", group.symbols_each), ("symbols", len(group.symbols))):
        limit = gateway_limit(scenario, "symbols_per_request")
        if value > limit:
            message = (
                f"found {value}; expected at most limits.symbols_per_request = {limit}, since a "
                'client sends one request; pick = "all" or a pattern takes more'
            )
            yield (f"group.{name}", "gateway"), message
    topics = gateway_limit(scenario, "topics_per_connection")
    if group.pick == "all" and not own and symbols > topics:
        message = f"found {symbols}; limits.topics_per_connection lets a client have {topics}"
        yield ("source.symbols", "group.pick", "gateway"), message


def _time_contradictions(group: Group) -> Iterator[Contradiction]:
    stalls = group.stall_at_s or group.stall_every_s
    if stalls and not group.stall_for_s:
        yield ("group.stall_for_s",), "missing; stall_at_s and stall_every_s need it"
    if group.stall_for_s and not stalls:
        message = f"found {group.stall_for_s}; it needs stall_at_s or stall_every_s"
        yield ("group.stall_for_s", "group.stall_at_s", "group.stall_every_s"), message
    if 0 < group.stall_every_s <= group.stall_for_s:
        message = f"found {group.stall_for_s}; expected less than stall_every_s"
        yield ("group.stall_for_s", "group.stall_every_s"), message
    if group.lifetime_s and not group.reconnect_s:
        yield ("group.reconnect_s", "group.lifetime_s"), "missing; lifetime_s needs it"


def _client_contradictions(scenario: Scenario) -> Iterator[Contradiction]:
    clients = scenario.clients
    if scenario.processes > clients:
        message = f"found {scenario.processes}; there are only {clients} clients"
        yield ("processes", "groups"), message
    if 0 < scenario.connect_rate < scenario.processes:
        message = f"found {scenario.connect_rate}; expected one for each of {scenario.processes}"
        yield ("connect_rate", "processes"), f"{message} processes"
    for n, address in enumerate(scenario.sources):
        try:
            ipaddress.IPv4Address(address)
        except ValueError:
            yield (f"sources.{n}",), f"found {in_words(address)}; expected an IPv4 address"
        if address in scenario.sources[:n]:
            yield (f"sources.{n}",), f"found {in_words(address)} twice"
    targets = 1 if scenario.url else scenario.gateways
    addresses = max(1, len(scenario.sources))
    each = -(-clients // (targets * addresses))
    if each > PORTS_MAX:
        message = (
            f"{clients} clients from {addresses} address(es) to {targets} gateway(s) are {each} a "
            f"pair; ephemeral ports end at {PORTS_MAX}: give sources = "
            f"{-(-clients // (targets * PORTS_MAX))}, or that many addresses"
        )
        yield ("sources", "groups", "gateways"), message


def _threshold_contradictions(scenario: Scenario) -> Iterator[Contradiction]:
    names = [group.name for group in scenario.groups]
    for n, expression in enumerate(scenario.thresholds):
        try:
            thresholds.parse(expression, names)
        except thresholds.ThresholdError as error:
            yield (f"thresholds.{n}", "groups"), str(error)


def _limit_contradictions(scenario: Scenario, limit: Limit) -> Iterator[Contradiction]:
    if limit.rate_max < WIDTH_MIN * limit.rate_min:
        message = f"found {limit.rate_max}; expected at least {WIDTH_MIN} times rate_min"
        yield ("limit.rate_max", "limit.rate_min"), message
    if not scenario.thresholds:
        yield ("thresholds",), "missing; the search for a limit needs one that can fail"
    if scenario.source.via == "none" or scenario.source.shape == "capture":
        message = "found a search for a limit; the source must have a rate to change"
        yield ("limit", "source.via", "source.shape"), message


def _overload_contradictions(scenario: Scenario, overload: Overload) -> Iterator[Contradiction]:
    if scenario.limit is None:
        yield ("limit", "overload"), "missing; an overload is a share of the limit that is found"
    if scenario.url:
        message = f"found {in_words(scenario.url)}; an overload sets targets of gateways of its own"
        yield ("url", "overload"), message
    if scenario.source.shape != "steady" or scenario.source.via != "udp":
        message = 'found another source; an overload makes its load of a "steady" one via "udp"'
        yield ("source.shape", "source.via", "overload"), message
    names = [group.name for group in scenario.groups if group.measured]
    if overload.group not in names:
        message = f"found {in_words(overload.group)}; measured groups are {', '.join(names)}"
        yield ("overload.group", "groups"), message


def gateway_limit(scenario: Scenario, name: str) -> int:
    """A number of the gateway's `[limits]`: as the scenario sets it, else the default."""
    limits = scenario.gateway.get("limits")
    value = limits.get(name) if isinstance(limits, dict) else None
    return value if isinstance(value, int) else int(getattr(LimitsOptions(), name))
