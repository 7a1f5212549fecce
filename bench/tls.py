"""What TLS costs beside deliveries: handshakes, and the memory of connections.

    python bench/tls.py [--connections 1500] [--clients 1000]

Figures are the worker's own: its CPU time for each connection that came, was upgraded and left, of
plain ones, of full handshakes and of resumed ones in turn; and what its resident memory grows by
for each connection that stays. The clients are Python's `ssl`, and may be slower than the worker.
The certificate is of the curve P-256, or RSA with 2,048 bits (`--rsa`).
"""

import argparse
import resource
import ssl
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.certificates import CURVE, Authority
from support.fleet import Client
from support.serving import Serving, processor_s, resident_bytes, serving, until
from support.udp import Venue

RSA: Final = ("-newkey", "rsa:2048", "-nodes")
TOPICS: Final = tuple(f"S{n}.SIM" for n in range(10))
ROUNDS: Final = 3
WAYS: Final = ("plain", "full", "resumed")


def come_and_go(url: str, tls: ssl.SSLContext | None, count: int, *, resumes: bool) -> None:
    """So many clients, one after the other; each has its hello."""
    session: ssl.SSLSession | None = None
    for _ in range(count):
        with Client(url, tls=tls, session=session) as client:
            if resumes and isinstance(client.socket, ssl.SSLSocket):
                assert session is None or client.socket.session_reused
                session = client.socket.session


def handshakes(plain: Serving, secure: Serving, tls: ssl.SSLContext, count: int) -> None:
    """CPU of the worker for each connection, in each of the ways in turn."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            gateway, context = (plain, None) if way == "plain" else (secure, tls)
            pid = gateway.pid()
            before = processor_s(pid)
            come_and_go(gateway.url, context, count, resumes=way == "resumed")
            found[way].append((processor_s(pid) - before) / count)
    for way, costs in found.items():
        each_s = statistics.median(costs)
        shown = ", ".join(f"{cost * 1e6:.0f}" for cost in costs)
        print(
            f"{way}: {each_s * 1e6:.0f} us of CPU for each connection ({shown}), "
            f"{1 / each_s:,.0f} a second and core",
            flush=True,
        )


def memory(name: str, gateway: Serving, venue: Venue, tls: ssl.SSLContext | None, n: int) -> None:
    """What each of so many connections with ten topics takes, behind as many that came before."""
    with ExitStack() as stack:

        def join() -> None:
            client = stack.enter_context(Client(gateway.url, tls=tls))
            client.subscribe("trade", *TOPICS)
            client.next(method="subscribe")

        for _ in range(n):
            join()
        pid = gateway.pid()
        before = resident_bytes(pid)
        for _ in range(n):
            join()
        for number in range(1, 21):
            for topic in TOPICS:
                venue.trades(topic.partition(".")[0], number)
        delivered = 2 * n * len(TOPICS) * 20
        until(lambda: gateway.metrics().of("deliveries_total", "trade") >= delivered, 60)
        time.sleep(1)
        each = (resident_bytes(pid) - before) / n
        print(f"{name}: {each / 1000:.1f} KB for each of {n} connections more", flush=True)


def run(directory: Path, connections: int, clients: int, *, rsa: bool) -> None:
    authority = Authority(directory)
    cert, key = authority.sign("gateway", "IP:127.0.0.1", key=RSA if rsa else CURVE)
    sets = (f"tls.cert={cert}", f"tls.key={key}", "ops.tls=false")
    context = authority.client()
    with (
        Venue() as venue,
        Venue() as other,
        serving(directory / "plain.log", *venue.sets) as plain,
        serving(directory / "tls.log", *other.sets, *sets) as secure,
    ):
        handshakes(plain, secure, context, connections)
        if clients:
            memory("plain", plain, venue, None, clients)
            memory("TLS", secure, other, context, clients)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1500)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rsa", action="store_true")
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as name:
        run(Path(name), given.connections, given.clients, rsa=given.rsa)


if __name__ == "__main__":
    main()
