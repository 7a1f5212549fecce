"""Hosts that give less than usual, or more: each is told, and served as far as it can be."""

import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import denied
from support.fleet import Client
from support.serving import Serving, serving, until
from support.udp import Venue
from support.wire import connected, subscribe

from gateway.loadtest.ports import free_udp_port

SMALL = ("listen.port=0", "ops.port=0", "ring.capacity_bytes=1048576", "plane.log_bytes=8388608")
START_S = 90
GATEWAY = [sys.executable, "-P", "-m", "gateway.cli"]
UNLIMITED = Path(__file__).parents[1] / "support" / "unlimited.c"


def serve(*before: str, sets: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A `serve` that ends by itself."""
    words = [*before, *GATEWAY, "serve"]
    for one in (*SMALL, *sets):
        words += ["--set", one]
    return subprocess.run(words, capture_output=True, text=True, timeout=START_S, check=False)


def needs(*calls: str) -> None:
    if not denied.known(*calls):
        pytest.skip(f"the numbers of {', '.join(calls)} are not known for this machine")


@pytest.mark.parametrize("enosys", [False, True], ids=["EPERM", "ENOSYS"])
@pytest.mark.parametrize(
    "calls",
    [
        ("memfd_create",),
        ("eventfd2",),
        ("epoll_create1",),
        ("socketpair",),
        ("memfd_create", "eventfd2", "pidfd_open", "recvmmsg"),
    ],
    ids="-".join,
)
def test_f72_a_denied_call_is_named_with_what_to_allow(
    calls: tuple[str, ...], *, enosys: bool
) -> None:
    needs(*calls)
    done = serve(*denied.command(*calls, enosys=enosys))
    assert done.returncode == 69, done.stderr
    assert "Traceback" not in done.stderr
    assert "seccomp" in done.stderr
    (line,) = done.stderr.splitlines()
    for call in calls:
        if call not in ("recvmmsg", "pidfd_open"):  # there is another way
            assert line.count(f"{call} (") == 1


def test_without_pidfds_children_are_watched_all_the_same(tmp_path: Path) -> None:
    needs("pidfd_open")
    before = denied.command("pidfd_open", "pidfd_send_signal")
    with serving(tmp_path / "log", *SMALL, before=before) as gateway:
        lines = gateway.lines()
        assert lines.count("call=pidfd_open") == 1
        worker = gateway.pid()
        os.kill(worker, signal.SIGKILL)
        until(lambda: gateway.pid() not in (0, worker) and gateway.get("/readyz")[0] == 200)
        os.kill(gateway.pid(), signal.SIGSTOP)  # a hang: it is killed, by its pid
        until(lambda: "reason=hang" in gateway.lines())
        until(lambda: gateway.get("/readyz")[0] == 200)


def test_without_recvmmsg_datagrams_come_one_by_one(tmp_path: Path) -> None:
    needs("recvmmsg")
    before = denied.command("recvmmsg")
    with Venue() as venue, serving(tmp_path / "log", *SMALL, *venue.sets, before=before) as gateway:
        assert gateway.says("denies recvmmsg")  # by the feed process
        assert gateway.lines().count("denies recvmmsg") == 1
        with Client(gateway.url) as client, venue.ticking("A"):
            client.subscribe("trade", "A.SIM")
            until(lambda: gateway.metrics().of("deliveries_total", "trade") > 10)
        assert gateway.metrics().total("feed_decode_errors_total") == 0


@pytest.mark.parametrize(
    "call",
    ["prlimit64", "sched_setattr", "sched_setaffinity", "io_uring_setup", "close_range", "statx"],
)
def test_calls_that_there_is_another_way_for(call: str, tmp_path: Path) -> None:
    needs(call)
    with serving(tmp_path / "log", *SMALL, before=denied.command(call)) as gateway:
        until(lambda: gateway.get("/readyz")[0] == 200)
        connected(gateway.url).sock.close()
    assert "Traceback" not in gateway.lines()


def test_doctor_says_what_is_denied() -> None:
    calls = ("memfd_create", "pidfd_open", "recvmmsg")
    needs(*calls)
    sets = ("feeds.0.type=udp", "feeds.0.port=0", "listen.port=0", "ops.port=0")
    words = [*denied.command(*calls), *GATEWAY, "doctor"]
    for one in sets:
        words += ["--set", one]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    line = next(line for line in done.stdout.splitlines() if " calls " in line)
    assert line.startswith("fail")
    assert all(call in line for call in calls)
    assert done.returncode == 1


# --- descriptors and streams ----------------------------------------------------------------------


def test_f72_a_limit_of_a_thousand_million_descriptors(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("program gcc is absent")
    library = tmp_path / "unlimited.so"
    flags = ["-D_GNU_SOURCE", "-shared", "-fPIC", "-Wall", "-Werror"]
    subprocess.run([compiler, *flags, str(UNLIMITED), "-o", str(library)], check=True)
    environ = {"LD_PRELOAD": str(library)}
    with serving(tmp_path / "log", *SMALL, environ=environ) as gateway:
        until(lambda: gateway.get("/readyz")[0] == 200)
        connected(gateway.url).sock.close()
        assert re.search(r"descriptors\.capped used=\d+ allowed=1073741816", gateway.lines())
        assert gateway.metrics().total("process_restarts_total") == 0


@pytest.mark.parametrize("limit", [8, 20, 64, 127])
def test_too_few_descriptors_are_told(limit: int) -> None:
    done = serve("bash", "-c", f'ulimit -n {limit}; exec "$@"', "bash")
    assert done.returncode == 69
    assert f"{limit} descriptors are too few" in done.stderr
    assert "Traceback" not in done.stderr


def test_as_many_descriptors_as_are_needed(tmp_path: Path) -> None:
    before = ("bash", "-c", 'ulimit -n 128; exec "$@"', "bash")
    with serving(tmp_path / "log", *SMALL, before=before) as gateway:
        until(lambda: gateway.get("/readyz")[0] == 200)
        connected(gateway.url).sock.close()


def test_descriptors_that_are_taken_away_are_told_until_they_are_back(tmp_path: Path) -> None:
    with serving(tmp_path / "log", *SMALL) as gateway:
        _, hard = resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)

        def allow(soft: int) -> None:
            resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (soft, hard))

        allow(60)  # the supervisor itself has fewer open
        worker = gateway.pid()
        os.kill(worker, signal.SIGKILL)
        until(lambda: "60 descriptors are too few" in gateway.lines())
        allow(hard)
        until(lambda: gateway.pid() not in (0, worker) and gateway.get("/readyz")[0] == 200)
        assert "Traceback" not in gateway.lines()


def test_f55_too_little_memory_is_told_and_no_crash_loop() -> None:
    done = serve(
        *("bash", "-c", 'ulimit -v 4000000; exec "$@"', "bash"),
        sets=("ring.capacity_bytes=8589934592",),  # mapped by the children alone
    )
    assert done.returncode == 69, done.stderr
    assert "child.failed" in done.stderr
    assert "the host gives too little: Cannot allocate memory" in done.stderr
    assert "Traceback" not in done.stderr
    assert "child.died" not in done.stderr


def test_no_process_has_threads_for_linear_algebra(tmp_path: Path) -> None:
    before = ("env", "--unset=OPENBLAS_NUM_THREADS")
    with serving(tmp_path / "log", *SMALL, before=before) as gateway:
        for name in ("feed", "worker-0"):
            environ = Path(f"/proc/{gateway.pid(name)}/environ").read_bytes().split(b"\0")
            assert b"OPENBLAS_NUM_THREADS=1" in environ


def test_too_few_for_so_many_workers() -> None:
    sets = ("cluster.workers=64",)
    done = serve("bash", "-c", 'ulimit -n 130; exec "$@"', "bash", sets=sets)
    assert done.returncode == 69
    assert "Too many open files" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_f72_closed_streams_do_not_keep_it_from_serving(closed: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = [*GATEWAY, "serve", "--set", f'log.file="{log}"']
    for one in (*SMALL, "feeds.0.type=synthetic", "feeds.0.symbols=1", "feeds.0.rate=100"):
        words += ["--set", one]
    log.touch()
    with subprocess.Popen(["bash", "-c", f"exec {shlex.join(words)} {closed}"]) as process:
        try:
            gateway = Serving(process, log)
            with connected(gateway.url) as wire:

                def known() -> bool:  # the feed makes its names while it starts
                    wire.send(subscribe(["SYM000.SIM"]))
                    return bool(wire.reply()["success"])

                until(known)
                while "seq" not in wire.message():
                    continue
            for name in ("supervisor", "worker-0", "feed"):
                pid = process.pid if name == "supervisor" else gateway.pid(name)
                for fd in (0, 1, 2):
                    assert "memfd" not in os.readlink(f"/proc/{pid}/fd/{fd}")
        finally:
            process.terminate()
            assert process.wait(60) == 0
    assert "Traceback" not in gateway.lines()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--version",), 0),
        (("config", "show"), 0),
        (("top", "--once", "--url", "ws://127.0.0.1:9/v1"), 1),
        (("explain", "/nonexistent"), 1),
    ],
)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_every_command_ends_as_ever_without_streams(
    words: tuple[str, ...], code: int, closed: str
) -> None:
    command = f"exec {shlex.join([*GATEWAY, *words])} {closed}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr


# --- addresses ------------------------------------------------------------------------------------


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_all_addresses_are_all_of_them_for_clients_ops_and_feeds_alike(tmp_path: Path) -> None:
    if not has_ipv6():
        pytest.skip("this host has no IPv6")
    port = free_udp_port()
    meant = ("listen.insecure=true", "ops.insecure=true")
    hosts = ('listen.host="::"', 'ops.host="::"', 'feeds.0.host="::"')
    everywhere = ("feeds.0.type=udp", *hosts, *meant)
    with serving(tmp_path / "log", *SMALL, *everywhere, f"feeds.0.port={port}") as gateway:
        assert "listen=[::]:" in gateway.lines()
        assert "ops_listen=[::]:" in gateway.lines()
        ports = [
            int(url.rpartition(":")[2].removesuffix("/v1")) for url in (gateway.url, gateway.ops)
        ]
        for host in ("127.0.0.1", "::1"):
            for one in ports:
                socket.create_connection((host, one), 5).close()
        trade = b'{"channel":"trade","symbol":"A","price":"1","qty":"1","side":"buy","ts":1}'
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(trade, (host, port))
        until(lambda: gateway.metrics().of("published_total", "trade") == 2)


def test_the_ready_line_says_what_is_bound(tmp_path: Path) -> None:
    meant = "listen.insecure=true"
    with serving(tmp_path / "log", *SMALL, 'listen.host="0.0.0.0"', meant) as gateway:
        line = next(line for line in gateway.lines().splitlines() if "serve.ready" in line)
        port = gateway.url.rpartition(":")[2].removesuffix("/v1")
        assert f"client=ws://127.0.0.1:{port}/v1" in line
        assert f"listen=0.0.0.0:{port}" in line
        assert "ops_listen=127.0.0.1:" in line


def test_a_multicast_feed_has_joined_its_group(tmp_path: Path) -> None:
    group, port = "239.1.2.3", free_udp_port()
    feed = ("feeds.0.type=udp", f"feeds.0.host={group}", f"feeds.0.port={port}")
    with (
        serving(tmp_path / "log", *SMALL, *feed, "feeds.0.interface=lo") as gateway,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        local = socket.inet_aton("127.0.0.1")
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, local)
        trade = b'{"channel":"trade","symbol":"A","price":"1","qty":"1","side":"buy","ts":1}'
        try:
            sender.sendto(trade, (group, port))
        except OSError as error:
            pytest.skip(f"no multicast over loopback here: {error.strerror}")
        until(lambda: gateway.metrics().of("published_total", "trade") == 1)


@pytest.mark.parametrize(
    ("sets", "code", "words"),
    [
        (("feeds.0.host=239.1.2.3", "feeds.0.interface=no-such0"), 69, "no interface no-such0"),
        (("feeds.0.host=127.0.0.1", "feeds.0.interface=lo"), 78, "feeds.0.interface"),
        (("feeds.0.host=239.1.2.3", "feeds.0.interface=192.0.2.77"), 69, "cannot join the group"),
        (("feeds.0.host=192.0.2.77",), 69, "feeds.0: udp 192.0.2.77:"),
        (("listen.host=239.1.2.3",), 78, "listen.host"),
        ((f"listen.host={'a' * 64}.example",), 78, "listen.host"),
        ((f"ops.host={'a' * 300}",), 78, "ops.host"),
        (("listen.host=a..example",), 78, "1 to 63 characters"),
        ((f"feeds.0.host={'a' * 64}",), 78, "feeds.0.host"),
        (('listen.host="a\\u0000b"',), 78, "NUL"),
        (("ops.host=ff02::1",), 78, "ops.host"),
    ],
)
def test_what_cannot_be_joined_or_bound_is_told(
    sets: tuple[str, ...], code: int, words: str
) -> None:
    done = serve(sets=("feeds.0.type=udp", "feeds.0.port=0", *sets))
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
