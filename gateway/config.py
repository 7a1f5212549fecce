"""Assembles the parts' options into one `Config`: defaults, TOML file, environment, `--set`.

Every layer writes into one plain document (the last wins); the document is then read against the
option structs, so that all errors are found at once (`document.py`). Contradictions between good
values come last.
"""

import copy
import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway import tls
from gateway.address import host_problem, is_multicast, origin_problem
from gateway.document import Reader, in_words, read_toml, sections, toml_literal
from gateway.errors import ConfigurationError, Problem
from gateway.exposure import clients_problem, ops_problem
from gateway.feeds import options as feed_options
from gateway.feeds.files import CaptureError, expand
from gateway.feeds.options import DelayOptions, FeedOptions, ReplayOptions, SyntheticOptions
from gateway.host import cpus_allowed
from gateway.networks import network_problem
from gateway.options import (
    AdminOptions,
    AuditOptions,
    AuthOptions,
    CandleOptions,
    ClusterOptions,
    LimitsOptions,
    ListenOptions,
    LogOptions,
    MemoryOptions,
    OpsOptions,
    Options,
    PlaneOptions,
    RecorderOptions,
    RingOptions,
    SloOptions,
    TenantOptions,
    TlsOptions,
)
from gateway.state import unappendable, unwritable

ENVIRONMENT_PREFIX = "TICKGATE_"
TENANTS_MAX = 16
"""As the native statistics page has room for: each has rows in /metrics."""
_PLATFORMS = re.compile("(tcp|udp|sctp)://")


class Config(Options, frozen=True, kw_only=True):
    """The whole configuration; each field is a table of the file."""

    listen: ListenOptions = ListenOptions()
    auth: AuthOptions = AuthOptions()
    ops: OpsOptions = OpsOptions()
    tls: TlsOptions = TlsOptions()
    ring: RingOptions = RingOptions()
    plane: PlaneOptions = PlaneOptions()
    slo: SloOptions = SloOptions()
    candles: CandleOptions = CandleOptions()
    cluster: ClusterOptions = ClusterOptions()
    memory: MemoryOptions = MemoryOptions()
    limits: LimitsOptions = LimitsOptions()
    recorder: RecorderOptions = RecorderOptions()
    log: LogOptions = LogOptions()
    admin: AdminOptions = AdminOptions()
    audit: AuditOptions = AuditOptions()
    tenants: tuple[TenantOptions, ...] = ()
    feeds: tuple[FeedOptions, ...] = ()

    @property
    def late(self) -> dict[str, bool]:
        """Every venue, and whether what is there is late."""
        return {feed.venue: isinstance(feed, DelayOptions) for feed in self.feeds}

    @property
    def delays(self) -> dict[str, int]:
        """By venue, how many seconds late its data is, where it is."""
        return {feed.venue: feed.delay_s for feed in self.feeds if isinstance(feed, DelayOptions)}


def load(path: str | Path | None, environ: Mapping[str, str], sets: Sequence[str] = ()) -> Config:
    """Reads the file (None: defaults only), then the environment, then `--set` texts.

    Raises:
        ConfigurationError: with every problem in `.problems`. Only an unreadable file or a TOML
            syntax error stands alone, since nothing else can be judged then.
    """
    document: dict[str, Any] = {}
    if path is not None:
        read = read_toml(path)
        if isinstance(read, Problem):
            raise _failure([read])
        document = read
    return assemble(document, environ, sets, origin="" if path is None else str(path))


def assemble(
    document: Mapping[str, Any],
    environ: Mapping[str, str],
    sets: Sequence[str] = (),
    *,
    origin: str = "",
) -> Config:
    """Lays environment and `--set` texts over a document (as from TOML) and reads the result.

    Raises:
        ConfigurationError: with every problem in `.problems`.
    """
    reader = Reader(Config, "the configuration", origin)
    merged = copy.deepcopy(dict(document))
    for where, path, text in _overrides(environ, sets, reader.problems):
        key = ".".join(path)
        wrong = _put(merged, path, _literal(text))
        if wrong is None:
            reader.origins[key] = where
        else:
            reader.problems.append(Problem(key, wrong, where))
    config = reader.read(merged)
    if config is not None:
        reader.contradictions(_contradictions(config))
    if reader.problems or config is None:
        raise _failure(reader.problems)
    return config


def decided(
    document: Mapping[str, Any],
    environ: Mapping[str, str],
    sets: Sequence[str],
    key: str,
    tries: tuple[int, int],
) -> bool:
    """Whether environment or `--set` decide an integer, `section.name`, over the document.

    Args:
        tries: two values of it that contradict nothing.

    Raises:
        ConfigurationError: with every problem in `.problems`.
    """
    section, _, name = key.partition(".")
    values = set()
    for value in tries:
        tried = {**document, section: {**document.get(section, {}), name: value}}
        values.add(getattr(getattr(assemble(tried, environ, sets), section), name))
    return len(values) == 1


def _failure(problems: Sequence[Problem]) -> ConfigurationError:
    count = f"{len(problems)} errors" if len(problems) > 1 else "an error"
    return ConfigurationError(f"the configuration has {count}", problems)


# --- the layers -----------------------------------------------------------------------------------


def _overrides(
    environ: Mapping[str, str], sets: Sequence[str], problems: list[Problem]
) -> Iterator[tuple[str, list[str], str]]:
    """(origin, key path, value's text) of each override, in the order of precedence."""
    variables = [
        (name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"), name)
        for name in environ
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name
    ]
    # The environment has no order: a list's entries must come one after the other to extend it.
    for path, name in sorted(variables, key=lambda item: [(_index(p), p) for p in item[0]]):
        yield name, path, environ[name]
    problems.extend(_misspelt(environ))
    for text in sets:
        key, equals, value = text.partition("=")
        path = key.strip().split(".")
        if equals and all(path):
            yield "--set", path, value
        else:
            problems.append(Problem("--set", f"found {in_words(text)}; expected section.key=value"))


def _misspelt(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Variables that mean a key, with one underscore where there must be two.

    Others with our prefix are not ours to judge: a container's platform makes some of a service's
    name, such as TICKGATE_OPS_PORT=tcp://10.0.0.1:9464 of one that is called tickgate-ops.
    """
    right = {
        f"{section}_{key}".upper(): f"{section}__{key}".upper()
        for section, keys in sections(Config)
        for key in keys
    }
    for name in sorted(environ):
        rest = name.removeprefix(ENVIRONMENT_PREFIX)
        if rest == name or "__" in rest or _PLATFORMS.match(environ[name]):
            continue
        feed = re.fullmatch(r"FEEDS_([0-9]{1,4})_(\w+)", rest, re.IGNORECASE)
        near = difflib.get_close_matches(rest.upper(), right, n=1, cutoff=0.9)
        meant = f"FEEDS__{feed[1]}__{feed[2]}" if feed else right[near[0]] if near else ""
        if meant:
            message = f"is ignored: sections are set off by two underscores, {ENVIRONMENT_PREFIX}"
            yield Problem(name, f"{message}{meant.upper()}")


def _literal(text: str) -> Any:
    """A TOML value where the text is one, else the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _index(part: str) -> int:
    """The array index that a part of a key path is, or -1."""
    return int(part) if part.isascii() and part.isdigit() and len(part) <= 4 else -1


def _put(document: dict[str, Any], path: Sequence[str], value: Any) -> str | None:
    """Sets the value at the path, making tables and list entries on the way, or says why not."""
    node: Any = document
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        fresh: Any = value if last else [] if _index(path[depth + 1]) >= 0 else {}
        if isinstance(node, dict):
            if last or part not in node:
                node[part] = fresh
            node = node[part]
        elif isinstance(node, list):
            index = _index(part)
            if not 0 <= index <= len(node):
                return f"found index {in_words(part)}; expected at most {len(node)}, which adds one"
            if index == len(node):
                node.append(fresh)
            elif last:
                node[index] = value
            node = node[index]
        else:
            return f"{'.'.join(path[:depth])} is {in_words(node)}, not a table"
    return None


# --- contradictions -------------------------------------------------------------------------------


def _contradictions(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """(keys, message) of values that are good only alone; the first key is the one to name."""
    capacity = config.ring.capacity_bytes
    if capacity & (capacity - 1):
        below = 1 << (capacity.bit_length() - 1)
        near = f"{below} or {below * 2}"
        yield ("ring.capacity_bytes",), f"found {capacity}; expected a power of two ({near})"
    if config.listen.port and config.listen.port == config.ops.port:
        message = f"found {config.ops.port}, which is listen.port too; expected a port of its own"
        yield ("ops.port", "listen.port"), message
    yield from _proxies(config)
    yield from _exposed(config)
    yield from _auth_contradictions(config.auth, config.tls.client_ca)
    yield from _host_contradictions(config)
    yield from tls.problems(config.tls)
    slo = config.slo
    # The default alone is no contradiction: whoever never heard of the key shall not trip over it.
    if slo.target_us > slo.display_target_us != SloOptions().display_target_us:
        message = (
            f"found {slo.display_target_us}; expected at least what is promised to the others, "
            f"slo.target_us = {slo.target_us}"
        )
        yield ("slo.display_target_us", "slo.target_us"), message
    intervals = config.candles.intervals
    if len(set(intervals)) < len(intervals):
        yield ("candles.intervals",), f"found {', '.join(intervals)}; expected each once"
    limits = config.limits
    if limits.requests_per_s > limits.worker_requests_per_s:
        message = (
            f"found {limits.worker_requests_per_s}; expected at least what one client may ask, "
            f"limits.requests_per_s = {limits.requests_per_s}"
        )
        yield ("limits.worker_requests_per_s", "limits.requests_per_s"), message
    yield from _tenant_contradictions(config)
    yield from _feed_contradictions(config)


def _proxies(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """What nobody could believe of where clients are."""
    for n, network in enumerate(config.listen.trusted_proxies):
        if isinstance(network, str) and (wrong := network_problem(network)):
            yield (f"listen.trusted_proxies.{n}",), f"found {in_words(network)}; {wrong}"
    if config.listen.proxy_protocol and not config.listen.trusted_proxies:
        message = "found true; nobody is trusted to say whose a connection is"
        yield ("listen.proxy_protocol", "listen.trusted_proxies"), message


def _exposed(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Listeners that the world would reach without anybody's having meant it."""
    listen, ops = config.listen, config.ops
    proxied = bool(listen.trusted_proxies)
    secure = tls.configured(config.tls)
    if message := clients_problem(
        listen.host,
        tls=secure,
        authenticated=config.auth.mode != "none",
        proxied=proxied,
        insecure=listen.insecure,
    ):
        yield ("listen.insecure", "listen.host"), message
    private = secure and ops.tls
    token = config.auth.mode != "none"  # whoever is not of this host needs one then
    if message := ops_problem(ops.host, tls=private, token=token, insecure=ops.insecure):
        yield ("ops.insecure", "ops.host"), message


def _auth_contradictions(
    auth: AuthOptions, client_ca: str
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Files that are none, and ways in that nobody could take."""
    if auth.mode == "none":
        return
    from gateway.identity.authenticator import Material
    from gateway.identity.fetch import FetchError, parts
    from gateway.identity.keeper import Files, Unreadable, is_url

    if auth.mode == "required" and not (auth.jwt_keys or auth.api_keys or client_ca):
        judges = "auth.jwt_keys, auth.api_keys or tls.client_ca"
        message = f'found "required"; expected {judges} to judge by'
        yield ("auth.mode", "auth.jwt_keys", "auth.api_keys", "tls.client_ca"), message
    if auth.in_band and not auth.jwt_keys:
        yield ("auth.in_band", "auth.jwt_keys"), "found true; expected auth.jwt_keys to judge by"
    files = Files(auth)
    for name in files.names:
        try:
            files.read(name, Material())
        except Unreadable as error:
            yield (f"auth.{name}",), error.why
    if is_url(auth.jwt_keys):
        try:
            parts(auth.jwt_keys)
        except FetchError as error:
            yield ("auth.jwt_keys",), f"found {in_words(auth.jwt_keys)}; {error}"


def _tenant_contradictions(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    names = [tenant.name for tenant in config.tenants if tenant is not None]  # None: a bad one
    if len(names) > TENANTS_MAX:
        yield ("tenants",), f"found {len(names)}; expected at most {TENANTS_MAX}"
    for n, name in enumerate(names):
        if name in names[:n]:
            yield (f"tenants.{n}.name",), f"found {in_words(name)}; another tenant has it"


def _host_contradictions(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """What no host could do, or this one can't: better told now than in the night that needs it."""
    for key, host in (("listen.host", config.listen.host), ("ops.host", config.ops.host)):
        if is_multicast(host):
            yield (key,), f"found {in_words(host)}; a group is nothing to connect to"
        if wrong := host_problem(host):
            yield (key,), f"found {in_words(host)}; {wrong}"
    for n, origin in enumerate(config.listen.origins):
        if isinstance(origin, str) and (wrong := origin_problem(origin)):  # not a bad one's gap
            yield (f"listen.origins.{n}",), f"found {in_words(origin)}; {wrong}"
    cpu, workers = config.plane.cpu, config.cluster.workers
    if cpu >= 0 and cpu not in (allowed := cpus_allowed()):
        message = f"found {cpu}; this process may run on {_cpus(allowed)} alone"
        yield ("plane.cpu",), message
    elif cpu >= 0 and workers > 1:
        message = f"found {cpu}; the planes of all {workers} workers would share it"
        yield ("plane.cpu", "cluster.workers"), message
    yield from _files(config)


def _files(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """What could not be written."""
    directory, file = config.recorder.directory, config.log.file
    if config.recorder.enabled and directory and (wrong := unwritable(Path(directory))):
        yield ("recorder.directory",), f"found {in_words(directory)}; {wrong}"
    unix = config.admin.unix
    if unix and (wrong := unappendable(Path(unix).with_suffix(".new"))):
        yield ("admin.unix",), f"found {in_words(unix)}; {wrong}"
    if config.audit.path and (wrong := unwritable(Path(config.audit.path))):
        yield ("audit.path",), f"found {in_words(config.audit.path)}; {wrong}"
    if file and (wrong := unappendable(Path(file))):
        yield ("log.file",), f"found {in_words(file)}; {wrong}"


def _cpus(numbers: Iterable[int]) -> str:
    listed = ", ".join(map(str, sorted(numbers)))
    return f"CPUs {listed}" if len(listed) < 60 else f"CPUs {listed[:56]}..."


def _feed_contradictions(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    feeds = config.feeds
    if None in feeds:  # a feed that could not be read at all: what it clashes with is not known
        return
    yield from (((key,), message) for key, message in feed_options.problems(feeds))
    synthetic = [feed for feed in feeds if isinstance(feed, SyntheticOptions)]
    late = [feed.of for feed in feeds if isinstance(feed, DelayOptions)]
    topics = sum(feed.symbols * len(feed.channels) for feed in synthetic)
    for one in synthetic:  # those released later have `instrument` in any case
        channels = {*one.channels, "instrument"}
        topics += late.count(one.venue) * one.symbols * len(channels)
    if topics > config.ring.topics_max:
        message = f"found {config.ring.topics_max}; the synthetic feeds publish {topics} topics"
        yield ("ring.topics_max",), message
    clients_max = config.limits.max_connections * config.cluster.workers
    for n, feed in enumerate(feeds):
        if not isinstance(feed, ReplayOptions):
            continue
        try:
            # isfile: False too where nobody may look.
            missing = next((one for one in expand(feed.path) if not os.path.isfile(one)), None)
            wrong = (
                "" if missing is None else f"found {in_words(missing)}; expected a file that exists"
            )
        except CaptureError as error:
            wrong = str(error)
        if wrong:
            yield (f"feeds.{n}.path",), wrong
        if 0 < clients_max < feed.start_after_clients:
            message = (
                f"found {feed.start_after_clients}; expected at most {clients_max}, "
                "the clients that limits.max_connections lets in"
            )
            yield (f"feeds.{n}.start_after_clients", "limits.max_connections"), message


# --- showing --------------------------------------------------------------------------------------


def to_toml(config: Config) -> str:
    """The whole configuration as TOML that `load` reads back to the same value."""
    blocks = []
    for name, value in msgspec.to_builtins(config, builtin_types=(tuple,)).items():
        tables = [(f"[{name}]", value)] if isinstance(value, dict) else []
        if not isinstance(value, dict):
            tables = [(f"[[{name}]]", item) for item in value]
        for head, table in tables:
            lines = [f"{key} = {toml_literal(item)}" for key, item in table.items()]
            blocks.append("\n".join([head, *lines, ""]))
    return "\n".join(blocks)
