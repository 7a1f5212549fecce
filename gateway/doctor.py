"""`tickgate doctor`: is this host fit for the configuration, and what is the cure where it is not.

Each check is a pure function from facts to a `Check`; `examine` gathers the facts. A `fail` keeps
the gateway from serving as configured, a `warn` costs latency or room.
"""

import json
import os
import platform
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

import msgspec

from gateway import address, host
from gateway.config import Config
from gateway.feeds.options import DelayOptions, UdpOptions
from gateway.feeds.spool_room import FREE_BYTES_MIN, spool_directory
from gateway.memory import estimate
from gateway.options import AuthOptions
from gateway.recorder import files
from gateway.state import unwritable
from gateway.supervisor.schedstat import THREAD
from gateway.tune.choose import QUICK_S, known
from gateway.tune.facts import Facts
from gateway.tune.propose import Proposals, propose

# What each figure is compared with, and why.
UDP_BUFFER_BYTES = 8 << 20  # what the udp feed asks for: 40 ms of datagrams at line rate
SOMAXCONN = 4096  # the accept queue that the listeners ask for: a reconnect storm fits in it
SPOOL_RATE = 50_000  # usual records a second of a busy venue
DESCRIPTORS = 8192  # below this a few thousand clients do not fit
RESERVED_DESCRIPTORS = 64  # what a worker needs beside its clients
SLICE_KERNEL = (6, 12)  # the first Linux where a thread may ask for a scheduler slice (EEVDF)
FAST_CLOCKS = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter")

# In a process of its own: a broken extension may crash whoever loads it.
_PROBE = """
import contextlib, json
from gateway import _native, address
facts = {"slice": _native.request_slice(100_000), "tls": not _native.tls_missing()}
with contextlib.suppress(OSError):
    udp = _native.UdpSocket(address.datagrams("127.0.0.1", 0))
    facts |= {"stamped": udp.stamped, "batched": udp.batched}
print(json.dumps(facts))
"""
PROBE_TIMEOUT_S = 10.0

Level = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """One line of the report; `cure` says what to do unless the level is ok."""

    level: Level
    name: str
    found: str
    cure: str = ""


def examine(config: Config, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Gathers the facts of this host and judges them against the configuration.

    What the host can do is what `tickgate tune` kept; else it is measured for less than a second.
    """
    soft, hard = host.descriptor_limit()
    recorder = config.recorder
    loaded, why = probe()
    udp = any(isinstance(feed, UdpOptions) for feed in config.feeds)
    return [
        interpreter(sys.version_info[:3]),
        native(why),
        tls(there=loaded.get("tls", False), wanted=bool(config.tls.cert)),
        cpus(len(host.cpus_allowed()), os.cpu_count() or 1, config.cluster.workers),
        scheduler(platform.release(), granted=loaded.get("slice")),
        clock(_read("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        run_delay(_read(str(THREAD))),
        calls(host.denied(), batched=loaded.get("batched"), udp=udp),
        descriptors(soft, hard, config.limits.max_connections),
        backlog(_read("/proc/sys/net/core/somaxconn")),
        udp_buffer(_granted_buffer(), needed=udp),
        target(config.slo.target_us, *capable(config.cluster.workers, environ, native_why=why)),
        udp_stamps(stamped=loaded.get("stamped"), needed=udp),
        recordings(files.directory(recorder.directory, environ), enabled=recorder.enabled),
        *spools(config, environ),
        memory(_read("/proc/meminfo"), sum(part.bytes for part in estimate(config))),
        identity(config.auth),
        *ports(config),
    ]


def report(checks: Sequence[Check], out: TextIO) -> int:
    """Writes a line for each check and its cure; 1 if one failed, else 0."""
    for check in checks:
        out.write(f"{check.level:<5} {check.name:<11} {check.found}\n")
        if check.level != "ok":
            out.write(f"{'':17} cure: {check.cure}\n")
    counts = {level: sum(check.level == level for check in checks) for level in ("warn", "fail")}
    out.write(f"{len(checks)} checks: {counts['fail']} failed, {counts['warn']} warnings\n")
    return 1 if counts["fail"] else 0


# --- checks ---------------------------------------------------------------------------------------


def interpreter(version: tuple[int, int, int]) -> Check:
    """Python itself."""
    text = ".".join(map(str, version))
    if version < (3, 11, 0):
        return Check("fail", "python", text, "install Python 3.11 or later")
    return Check("ok", "python", text)


def native(why: str) -> Check:
    """The extension module; `why` is the error's text, empty when it loads."""
    if why:
        return Check("fail", "native", why, "build it again: make build, or pip install tickgate")
    return Check("ok", "native", "gateway._native loads")


def identity(auth: AuthOptions) -> Check:
    """Whose tokens are taken; what is not checked is said."""
    if auth.mode == "none":
        return Check("ok", "identity", "auth.mode is none: everybody may have everything")
    found = f"auth.mode is {auth.mode}"
    left = [name for name in ("audience", "issuer") if auth.jwt_keys and not getattr(auth, name)]
    if not left:
        return Check("ok", "identity", found)
    unchecked = " and ".join(f"auth.{name}" for name in left)
    found += f"; {unchecked} not checked: a token for anything else is taken, too"
    return Check("warn", "identity", found, f"set {unchecked} as your issuer writes them")


def tls(*, there: bool, wanted: bool) -> Check:
    """OpenSSL, of which the build needs the headers and a run the library."""
    if there:
        return Check("ok", "tls", "OpenSSL is there")
    cure = "install libssl3 and libssl-dev (Debian, Ubuntu), then build again"
    return Check("fail" if wanted else "warn", "tls", "left out: no OpenSSL 3", cure)


def cpus(allowed: int, present: int, workers: int) -> Check:
    """One CPU for the feed process and one for each worker."""
    wanted = workers + 1
    found = f"{allowed} of {present} allowed to this process, {wanted} wanted"
    if allowed < wanted:
        cure = "allow more (taskset, cpuset), or lower cluster.workers: the processes share cores"
        return Check("warn", "cpus", found, cure)
    return Check("ok", "cpus", found)


def scheduler(release: str, *, granted: bool | None) -> Check:
    """Whether the plane's thread gets a short scheduler slice; `granted` None: not tried."""
    found = f"Linux {release}, 100 us slice {'granted' if granted else 'not granted'}"
    if granted:
        return Check("ok", "scheduler", found)
    digits = [part for part in release.replace("-", ".").split(".")[:2] if part.isdigit()]
    known = tuple(map(int, digits))
    cure = (
        "allow sched_setattr in the container's seccomp profile"
        if known >= SLICE_KERNEL
        else "Linux 6.12 or later; else keep busy threads off the gateway's cores"
    )
    return Check("warn", "scheduler", found, cure)


def clock(source: str) -> Check:
    """Whether reading the clock is a matter of nanoseconds."""
    if source in FAST_CLOCKS:
        return Check("ok", "clock", source)
    cure = "a clock read becomes a system call here; boot with clocksource=tsc if it is stable"
    return Check("warn", "clock", source or "unknown", cure)


def run_delay(schedstat: str) -> Check:
    """Whether the kernel counts the time that a thread is runnable without a CPU."""
    counts = schedstat.split()
    # A kernel without the accounts says `0 0 0`; this thread has had its turns.
    if len(counts) == 3 and counts[2] != "0":
        return Check("ok", "run delay", "counted")
    cure = "a kernel with CONFIG_SCHED_INFO, or a starved process looks like a stopped one"
    return Check("warn", "run delay", "not counted", cure)


def calls(denied: Sequence[host.Denied], *, batched: bool | None, udp: bool) -> Check:
    """The system calls that sandboxes deny; `batched` None: recvmmsg was not tried."""
    found = list(denied)
    if batched is False and udp:
        found.append(host.Denied("recvmmsg", "denied", "a udp feed takes a call a datagram"))
    if not found:
        return Check("ok", "calls", f"{', '.join(call for call, _, _ in host.CALLS)} are allowed")
    needed = [one for one in found if not one.without]
    words = "; ".join(f"{one.call}: {one.why}" for one in found)
    costs = "; ".join(one.without for one in found if one.without)
    cure = host.ALLOW if needed else f"{host.ALLOW}; until then {costs}"
    return Check("fail" if needed else "warn", "calls", words, cure)


def descriptors(soft: int, hard: int, connections_max: int) -> Check:
    """Room for the clients: each worker takes one descriptor a client."""
    infinite = hard == resource.RLIM_INFINITY
    capped = min(hard, host.DESCRIPTORS_MAX) if not infinite else host.DESCRIPTORS_MAX
    found = f"soft {soft}, hard {'unlimited' if infinite else hard} ({capped} are used)"
    if infinite:
        return Check("ok", "descriptors", found)
    room = hard - RESERVED_DESCRIPTORS
    if hard < host.DESCRIPTORS_MIN:
        cure = f"LimitNOFILE= or ulimit -Hn: {host.DESCRIPTORS_MIN} is the least"
        return Check("fail", "descriptors", found, cure)
    if connections_max > room:
        cure = f"raise the hard limit, or limits.max_connections = {room} at most"
        return Check("fail", "descriptors", found, cure)
    if hard < DESCRIPTORS:
        cure = f"LimitNOFILE= or ulimit -Hn: this admits {max(0, room)} clients a worker"
        return Check("warn", "descriptors", found, cure)
    return Check("ok", "descriptors", found)


def backlog(somaxconn: str) -> Check:
    """How many connections may wait to be accepted."""
    if somaxconn.isdigit() and int(somaxconn) >= SOMAXCONN:
        return Check("ok", "somaxconn", somaxconn)
    cure = f"sysctl net.core.somaxconn={SOMAXCONN}, or a reconnect storm is refused in part"
    return Check("warn", "somaxconn", somaxconn or "unknown", cure)


def udp_buffer(granted: int, *, needed: bool) -> Check:
    """The receive buffer that a udp feed gets."""
    found = f"{granted} of {UDP_BUFFER_BYTES} bytes granted"
    if granted >= UDP_BUFFER_BYTES or not needed:
        return Check("ok", "udp buffer", found if needed else f"{found} (no udp feed)")
    cure = f"sysctl net.core.rmem_max={UDP_BUFFER_BYTES}, or bursts are dropped"
    return Check("warn", "udp buffer", found, cure)


def target(target_us: int, proposals: Proposals | None, why: str) -> Check:
    """Whether the host can hold the latency objective; `why` there is nothing to compare with."""
    if proposals is None or proposals.holds_us is None:
        words = why if proposals is None else "; ".join(proposals.refused)
        found = f"slo.target_us = {target_us}, not compared: {words}"
        return Check("warn", "target", found, "tickgate tune says more")
    holds = f"this host holds {proposals.holds_us} us for {proposals.clients} clients"
    found = f"slo.target_us = {target_us}; {holds}"
    if target_us >= proposals.holds_us:
        return Check("ok", "target", found)
    one = proposals.get("slo.target_us")
    wanted = f"slo.target_us = {one.value}" if one is not None else "no target at all"
    cure = f"{wanted}, or fewer clients a worker and a quieter host; tickgate tune says why"
    return Check("warn", "target", found, cure)


def udp_stamps(*, stamped: bool | None, needed: bool) -> Check:
    """Whether the kernel stamps what a udp feed receives; `stamped` None: not tried."""
    if stamped:
        return Check("ok", "udp stamps", "by the kernel, at arrival")
    if not needed:
        return Check("ok", "udp stamps", "none (no udp feed)")
    cure = (
        "allow setsockopt SO_TIMESTAMPNS (seccomp, sandbox): without it ingest and total do not"
        " have what a datagram waits in the socket"
    )
    return Check("warn", "udp stamps", "none", cure)


def recordings(where: Path, *, enabled: bool) -> Check:
    """Whether the flight recorder can write; nothing is made for the question."""
    if not enabled:
        return Check("ok", "recorder", "off")
    if why := unwritable(where):
        cure = "recorder.directory: one that this user may write, or recorder.enabled = false"
        return Check("warn", "recorder", f"{where}: {why}", cure)
    return Check("ok", "recorder", str(where))


def spools(config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether the disk holds what delayed feeds hold back; nothing is made for the question."""
    for n, feed in enumerate(config.feeds):
        if isinstance(feed, DelayOptions):
            where = spool_directory(feed, environ)
            yield spool(n, feed, where, unwritable(where) or _free(where))


def spool(number: int, feed: DelayOptions, where: Path, free: str | int) -> Check:
    """`free`: bytes of the disk, or why nothing can be written."""
    name = f"feeds.{number}"
    if isinstance(free, str):
        cure = f"{name}.directory: one that this user may write"
        return Check("fail", name, f"{where}: {free}", cure)
    room = min(free - FREE_BYTES_MIN, feed.bytes_max)
    found = f"{where}: {max(room, 0) // 1_000_000} MB hold back"
    found += f" {max(feed.rate(room), 0):,.0f} usual records/s for {feed.delay_s} s"
    if free - FREE_BYTES_MIN < feed.bytes_max:
        cure = f"a larger disk, or {name}.bytes_max below the {free // 1_000_000} MB that are free"
        return Check("warn", name, found, cure)
    if feed.rate(room) < SPOOL_RATE:
        cure = f"{name}.bytes_max: busy venues send {SPOOL_RATE:,} records/s"
        return Check("warn", name, found, cure)
    return Check("ok", name, found)


def _free(where: Path) -> str | int:
    there = next(one for one in (where, *where.absolute().parents) if one.exists())
    try:
        disk = os.statvfs(there)
    except OSError as error:
        return str(error)
    return disk.f_bavail * disk.f_frsize


def memory(meminfo: str, wanted: int) -> Check:
    """Whether the host has what the configuration takes; `meminfo` is /proc/meminfo."""
    found = f"{wanted // 1_000_000} MB wanted without clients"
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable" and rest.split()[:1]:
            there = int(rest.split()[0]) * 1024
            found += f", {there // 1_000_000} MB available"
            if there < wanted:
                cure = "lower ring.capacity_bytes, plane.log_bytes or cluster.workers"
                return Check("warn", "memory", found, cure)
    return Check("ok", "memory", found)


def ports(config: Config) -> Iterator[Check]:
    """Whether every address of the configuration is to be had."""
    for key, options in (("listen", config.listen), ("ops", config.ops)):
        error = _tried(lambda o=options: address.listeners(o.host, o.port, 1)[0])  # type: ignore[misc]
        cure = f"stop what holds it, or set {key}.host and {key}.port"
        yield _port(key, f"{options.host}:{options.port}", error, cure)
    for n, feed in enumerate(config.feeds):
        if isinstance(feed, UdpOptions):
            key = f"feeds.{n}"
            error = _tried(lambda f=feed: address.datagrams(f.host, f.port, f.interface))  # type: ignore[misc]
            cure = f"stop what holds it, or set {key}.host and {key}.port"
            if address.is_multicast(feed.host):
                cure += f"; {key}.interface says where the group is joined"
            yield _port(key, f"{feed.host}:{feed.port}", error, cure)


def _port(key: str, where: str, error: str, cure: str) -> Check:
    if error:
        return Check("fail", key, f"{where}: {error}", cure)
    return Check("ok", key, f"{where} is free")


# --- facts ----------------------------------------------------------------------------------------


def probe() -> tuple[dict[str, bool], str]:
    """What the native module says of this host, or why it does not load."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}, f"does not load within {PROBE_TIMEOUT_S:g} s"
    if done.returncode < 0:
        return {}, f"its load ended with signal {-done.returncode}"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {}, lines[-1] if lines else f"its load ended with code {done.returncode}"
    facts: dict[str, bool] = json.loads(done.stdout)
    return facts, ""


def capable(
    workers: int, environ: Mapping[str, str], *, native_why: str = ""
) -> tuple[Proposals | None, str]:
    """What is proposed for this host, or why nothing is."""
    facts = known(environ)
    if facts is None:
        if native_why:
            return None, "the native module does not load"
        facts, why = _measured(environ)
        if facts is None:
            return None, why
    return propose(facts, workers=workers), ""


def _measured(environ: Mapping[str, str]) -> tuple[Facts | None, str]:
    """A quick measurement, in a process of its own as the probe is."""
    command = [sys.executable, "-P", "-m", "gateway.cli", "tune", "--json"]
    try:
        done = subprocess.run(
            [*command, "--seconds", str(QUICK_S)],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
            env=dict(environ),
        )
    except subprocess.TimeoutExpired:
        return None, f"the measurement took more than {PROBE_TIMEOUT_S:g} s"
    try:
        return msgspec.convert(json.loads(done.stdout)["facts"], Facts), ""
    except (ValueError, KeyError, TypeError):
        lines = done.stderr.strip().splitlines()
        return None, lines[-1] if lines else f"the measurement ended with code {done.returncode}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _granted_buffer() -> int:
    """Bytes that the kernel grants of the buffer, asked for as the udp feed asks."""
    force = 33  # SO_RCVBUFFORCE (asm-generic/socket.h): beyond rmem_max, with CAP_NET_ADMIN
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probing:
        try:
            probing.setsockopt(socket.SOL_SOCKET, force, UDP_BUFFER_BYTES)
        except OSError:
            probing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
        # The kernel reports twice the size, for its own overhead (socket(7)).
        return probing.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def _tried(opened: Callable[[], socket.socket]) -> str:
    """Opens as the gateway would, and closes; the error's text, empty when it is to be had."""
    try:
        opened().close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
