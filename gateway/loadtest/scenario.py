"""What a load test does, as a value: who subscribes to what, which ticks come, what is demanded.

A scenario is a TOML file (docs/bench-scenarios.md has every key) or is built by `listening`. It is
read like the gateway's configuration: every error at once, each with its key. The structs hold what
was said; what follows from it, client by client, is `profiles.plan`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, field

from gateway.document import Reader, read_toml, toml_literal
from gateway.errors import ConfigurationError, Problem
from gateway.loadtest.rules import contradictions
from gateway.model.encoding import Encoding
from gateway.model.record import CHANNELS
from gateway.options import Options

DIRECTORY: Final = Path(__file__).with_name("scenarios")
"""Where a scenario is looked for by its name alone: those that come with the program."""

SOURCES_MAX: Final = 250
"""Addresses that a count may stand for: 127.0.0.2 to 127.0.0.251."""

Channel = Literal["trade", "bbo"]
Name = Annotated[str, Meta(pattern=r"^[\w .:+-]{1,60}$")]
Natural = Annotated[int, Meta(ge=0, le=1 << 30)]
Clients = Annotated[int, Meta(ge=1, le=1_000_000)]
Rate = Annotated[float, Meta(gt=0, le=10_000_000)]
RateOrNone = Annotated[float, Meta(ge=0, le=10_000_000)]
Exponent = Annotated[float, Meta(ge=0, le=10)]
Span = Annotated[float, Meta(ge=0, le=86_400)]


class ScenarioError(ConfigurationError):
    """The scenario is wrong, or is not there; a mistake of who called, so the exit code is 2."""

    exit_code = 2


class Source(Options, frozen=True, kw_only=True):
    """Which ticks come, when, and how they get to the gateway: of SYM000.SIM, SYM001.SIM, ..."""

    via: Literal["udp", "embedded", "none"] = "udp"
    channels: Annotated[list[Channel], Meta(min_length=1)] = field(
        default_factory=lambda: ["trade"]
    )
    symbols: Annotated[int, Meta(ge=1, le=30_000)] = 1
    popularity: Literal["uniform", "zipf"] = "uniform"
    exponent: Exponent = 1.0
    shape: Literal["steady", "ramp", "burst", "capture"] = "steady"
    rate: Rate = 1000.0
    to_rate: RateOrNone = 0.0
    burst_rate: RateOrNone = 0.0
    burst_s: Span = 0.0
    burst_every_s: Span = 0.0
    capture: str = ""
    speed: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 1


class Group(Options, frozen=True, kw_only=True):
    """Clients that behave alike. A time of 0 is never, a number of 0 is no limit."""

    name: Name
    clients: Clients
    channel: Channel = "trade"
    pick: Literal["one", "all", "random", "zipf"] = "one"
    symbols_each: Annotated[int, Meta(ge=1, le=30_000)] = 1
    exponent: Exponent = 1.0
    symbols: list[str] = field(default_factory=list)
    subscribe: str = ""
    mode: Literal["", "conflate", "lossless"] = ""
    class_: Annotated[int, Meta(ge=0, le=3)] | None = field(default=None, name="class")
    max_hz: Annotated[float, Meta(ge=0.1, le=1000)] | None = None
    measured: bool = True
    expect_all: bool = True
    read_bytes_per_s: Natural = 0
    rcvbuf_bytes: Natural = 0
    late_acks: bool = False
    stall_at_s: Span = 0.0
    stall_for_s: Span = 0.0
    stall_every_s: Span = 0.0
    drop_at_s: Span = 0.0
    drop_every_s: Span = 0.0
    lifetime_s: Span = 0.0
    reconnect_s: Span = 0.0
    resubscribe_every_s: Span = 0.0

    @property
    def counted(self) -> bool:
        """Whether its deliveries are held against what it should have got."""
        return self.measured and self.expect_all

    @property
    def priority(self) -> int:
        """The class of its subscriptions: its own, or the channel's."""
        return CHANNELS[self.channel].priority if self.class_ is None else self.class_

    @property
    def uncountable(self) -> str:
        """The key for which it is not known what a client should get; empty: it is known."""
        causes = ("subscribe", "drop_at_s", "drop_every_s", "lifetime_s", "resubscribe_every_s")
        return next((name for name in causes if getattr(self, name)), "")


class Limit(Options, frozen=True, kw_only=True):
    """The search for the highest rate at which the thresholds hold."""

    rate_min: Rate
    rate_max: Rate
    steps: Annotated[int, Meta(ge=1, le=64)] = 7
    retries: Annotated[int, Meta(ge=0, le=8)] = 1


class Overload(Options, frozen=True, kw_only=True):
    """More than the gateway can do, with its latency controller watching and then acting."""

    group: Name
    target_factor: Annotated[float, Meta(ge=1, le=100)] = 2.0
    quiet: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    peak: Annotated[float, Meta(gt=1, le=100)] = 1.4
    peak_s: Annotated[float, Meta(gt=0, le=3600)] = 5.0
    after_s: Annotated[float, Meta(gt=0, le=3600)] = 12.0


class Scenario(Options, frozen=True, kw_only=True):
    """A whole load test."""

    name: Name
    description: str = ""
    url: Annotated[str, Meta(pattern="^(wss?://.+)?$")] = ""
    encoding: Encoding = "json"
    gateways: Annotated[int, Meta(ge=1, le=64)] = 1
    gateway: dict[str, Any] = field(default_factory=dict)
    processes: Annotated[int, Meta(ge=1, le=64)] = 1
    sources: list[str] = field(default_factory=list)
    connect_rate: Natural = 0
    warmup_s: Span = 2.0
    duration_s: Annotated[float, Meta(gt=0, le=86_400)] = 6.0
    grace_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    cooldown_s: Span = 0.0
    source: Source = Source()
    groups: Annotated[list[Group], Meta(min_length=1)]
    limit: Limit | None = None
    overload: Overload | None = None
    thresholds: list[str] = field(default_factory=list)

    @property
    def clients(self) -> int:
        """How many there are in all groups."""
        return sum(group.clients for group in self.groups)

    @property
    def settings(self) -> list[str]:
        """The table `gateway` as texts for `--set`: `limits.max_connections=10`."""
        return list(_settings("", self.gateway))

    def overridden(
        self,
        *,
        clients: int | None = None,
        duration_s: float | None = None,
        warmup_s: float | None = None,
        rate: float | None = None,
        processes: int | None = None,
        channel: str | None = None,
        url: str | None = None,
        encoding: str | None = None,
    ) -> Scenario:
        """The same with some values replaced; None leaves a value as it is.

        `clients` is shared out in proportion over the groups, `rate` scales a ramp's end and a
        burst's height along, and `channel` is what the source sends and every group subscribes to.

        Raises:
            ScenarioError: with every problem in `.problems`.
        """
        document = _document(self)
        origins = {}
        plain: dict[str, float | str | None] = {"duration_s": duration_s, "warmup_s": warmup_s}
        plain |= {"processes": processes, "url": url, "encoding": encoding}
        for key, value in plain.items():
            if value is not None:
                document[key] = value
                origins[key] = f"--{key.removesuffix('_s')}"
        if clients is not None:
            _scale_clients(document["groups"], clients)
        if rate is not None:
            _scale_rate(document["source"], rate)
            origins["source.rate"] = "--rate"
        if channel is not None:
            document["source"]["channels"] = [channel]
            for group in document["groups"]:
                group["channel"] = channel
            origins["source.channels"] = "--channel"
        return from_document(document, origins=origins)


def _document(scenario: Scenario) -> dict[str, Any]:
    """What `from_document` reads the same scenario from: TOML has no null."""
    document = {k: v for k, v in msgspec.to_builtins(scenario).items() if v is not None}
    for group in document["groups"]:
        for name in ("class", "max_hz"):
            if group[name] is None:
                del group[name]
    return document


def load(path: str | Path) -> Scenario:
    """Reads a scenario: a file, or by name one that comes with the program.

    Raises:
        ScenarioError: with every problem in `.problems`; only a file that is not there or is no
            TOML stands alone.
    """
    file = find(path)
    document = read_toml(file)
    if isinstance(document, Problem):
        raise _failure([document])
    return from_document({"name": file.stem} | document, origin=str(file))


def find(path: str | Path) -> Path:
    """The file of a path, or of a name alone.

    Raises:
        ScenarioError: there is none; the text has the names that there are.
    """
    named = DIRECTORY / f"{path}.toml"
    if Path(path).is_file():
        return Path(path)
    if named.is_file():
        return named
    names = sorted(file.stem for file in DIRECTORY.glob("*.toml"))
    near = difflib.get_close_matches(Path(path).stem.lower(), names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    raise _failure([Problem(str(path), f"there is no such file or scenario; {hint}")])


def from_document(
    document: Mapping[str, Any], *, origin: str = "", origins: Mapping[str, str] | None = None
) -> Scenario:
    """The scenario that a document (as from TOML) says; `origins` of single keys for the texts.

    Raises:
        ScenarioError: with every problem in `.problems`.
    """
    reader = Reader(Scenario, "the scenario", origin)
    reader.origins |= origins or {}
    scenario = reader.read({**document, **_addresses(document.get("sources"), reader)})
    if scenario is not None:
        reader.contradictions(contradictions(scenario))
    if reader.problems or scenario is None:
        raise _failure(reader.problems)
    return scenario


def listening(
    url: str,
    *,
    clients: int = 1,
    channel: Channel = "trade",
    symbols: Sequence[str] = ("*",),
    subscribe: str = "",
    warmup_s: float = 2.0,
    duration_s: float = 6.0,
    processes: int = 1,
    encoding: Encoding = "json",
    thresholds: Sequence[str] = (),
) -> Scenario:
    """Only listens at a server that runs already: one group, one request with all the symbols.

    Args:
        url: `ws://HOST:PORT/PATH`.
        symbols: names and patterns as the server takes them.
        subscribe: the text to send instead of our request, `{n}` in it being the client's number
            from 0; where every client sends the same, one text serves all.

    Raises:
        ScenarioError: with every problem in `.problems`.
    """
    group = {"name": "clients", "clients": clients, "channel": channel, "expect_all": False}
    group |= {"subscribe": subscribe} if subscribe else {"symbols": list(symbols)}
    return from_document(
        {
            "name": "listen",
            "url": url,
            "encoding": encoding,
            "processes": processes,
            "warmup_s": warmup_s,
            "duration_s": duration_s,
            "source": {"via": "none"},
            "groups": [group],
            "thresholds": list(thresholds),
        }
    )


def shared_out(count: int, weights: Sequence[int]) -> list[int]:
    """Integers in proportion to the weights that sum to `count`, each at least 1.

    By largest remainder (Hamilton's method). Where the ones that every weight has make too many,
    those that have most beyond their share give back. `count` must be at least `len(weights)`.
    """
    total = sum(weights)
    exact = [count * weight / total for weight in weights]
    shares = [max(1, count * weight // total) for weight in weights]
    while sum(shares) < count:
        shares[max(range(len(shares)), key=lambda k: exact[k] - shares[k])] += 1
    while sum(shares) > count:
        able = [k for k, share in enumerate(shares) if share > 1]
        shares[max(able, key=lambda k: shares[k] - exact[k])] -= 1
    return shares


def _scale_clients(groups: list[dict[str, Any]], clients: int) -> None:
    if clients < len(groups):
        message = f"found {clients}; expected one for each of {len(groups)} groups"
        raise _failure([Problem("clients", message, "--clients")])
    counts = shared_out(clients, [group["clients"] for group in groups])
    for group, count in zip(groups, counts, strict=True):
        group["clients"] = count


def _scale_rate(source: dict[str, Any], rate: float) -> None:
    if source["via"] == "none" or source["shape"] == "capture":
        raise _failure([Problem("source.rate", "the source has none to change", "--rate")])
    for key in ("to_rate", "burst_rate"):
        source[key] *= rate / source["rate"]
    source["rate"] = rate


def _failure(problems: Sequence[Problem]) -> ScenarioError:
    count = f"{len(problems)} errors" if len(problems) > 1 else "an error"
    return ScenarioError(f"the scenario has {count}", problems)


def _addresses(raw: Any, reader: Reader[Scenario]) -> dict[str, list[str]]:
    """`sources` where it is a count: so many addresses of this host."""
    if not isinstance(raw, int) or isinstance(raw, bool):
        return {}
    if not 1 <= raw <= SOURCES_MAX:
        reader.problem("sources", f"found {raw}; expected addresses, or 1 to {SOURCES_MAX} of them")
        return {"sources": []}
    return {"sources": [f"127.0.0.{2 + k}" for k in range(raw)]}


def _settings(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _settings(f"{key}.{name}" if key else name, inner)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from _settings(f"{key}.{index}", inner)
    else:
        yield f"{key}={toml_literal(value)}"
