"""bench/attack.py in short: each attack for a moment, beside clients that must not notice.

None of these is closed, what is refused is counted, and memory stays within what the limits allow.
"""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import attack
import pytest
from attackers import KINDS, TLS_ONLY
from attackers_tls import renegotiations
from attackers_words import Aim
from bystander_processes import helper
from support.bystander import Bystander
from support.certificates import Authority
from support.identity import Issuer
from support.serving import Metrics, Serving, serving, until

from gateway.loadtest.ports import free_tcp_port

ATTACKERS = 200
BUDGET_BYTES = 1 << 20
SUBSCRIBED_BYTES = {"bombs": 128 << 20}
"""What the subscriptions of those who may subscribe take, which limits of their own bound."""
COUNTED: dict[str, tuple[str, ...]] = {
    "slow-headers": ("handshakes_total", "timeout"),
    "slow-body": ("handshakes_total", "limited"),
    "slow-read": ("handshakes_total", "limited"),
    "range": ("handshakes_total", "limited"),
    "silent": ("handshakes_total", "timeout"),
    "partial": ("handshakes_total", "timeout"),
    "forged": ("auth_total", "jwt", "limited"),
    "huge": ("handshakes_total", "too_large"),
    "bombs": ("requests_total", "subscribe", "rate_limited"),
    "pings": ("closes_total", "4029"),
    "churn": ("handshakes_total", "limited"),
}
"""What each attack makes rise."""
PROGRAMS = ("slow-headers", "slow-body", "slow-read", "range")


@dataclass
class Scene:
    """A gateway that wants tokens, and clients that have them."""

    gateway: Serving
    aim: Aim
    honest: list[Bystander]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("attack")
    issuer = Issuer(directory, "EdDSA")
    limits = {
        "handshake_timeout_s": 1,
        "handshake_memory_bytes": BUDGET_BYTES,
        "connects_per_address_per_s": 1,
        "requests_burst": 20,
    }
    sets = [*issuer.sets(), *(f"limits.{name}={value}" for name, value in limits.items())]
    feed = (
        "feeds.0.type=synthetic",
        "feeds.0.venue=SIM",
        "feeds.0.rate=200",
        "memory.populate=start",
    )
    with serving(directory / "log", *sets, *feed) as gateway:
        where = urlsplit(gateway.url)
        aim = Aim(
            address=str(where.hostname),
            port=where.port or 0,
            ca="",
            token=issuer.token("mallory"),
            strange=attack.strange_tokens(issuer, directory),
        )
        honest = [
            Bystander(gateway.url, ["SYM*"], mode, token=issuer.token(f"user-{n}"))
            for n, mode in enumerate(("lossless", "conflate", "lossless"))
        ]
        yield Scene(gateway, aim, honest)
        for one in honest:
            one.stop()


def test_every_attack_is_tried_in_short_or_needs_more() -> None:
    assert {*COUNTED, *TLS_ONLY, "page"} == set(KINDS)


@pytest.mark.alone  # attackers have the lowest priority: beside other tests they have no CPU
@pytest.mark.parametrize("name", COUNTED)
def test_honest_clients_stay_and_what_is_refused_is_counted(scene: Scene, name: str) -> None:
    if name in PROGRAMS and shutil.which("slowhttptest") is None:
        pytest.skip("program slowhttptest is absent")
    gateway = scene.gateway
    before = gateway.metrics()
    memory = attack.Memory(gateway.process.pid)
    try:
        with helper(
            "attackers.py", [name, json.dumps(asdict(scene.aim)), str(ATTACKERS)], []
        ) as it:
            it.order("begin")
            until(lambda: _rises(gateway.metrics(), before, COUNTED[name]), 120.0)
            for one in scene.honest:
                one.goes_on()
            done = it.order("end")
    finally:
        memory.end()
    assert done["connections"] >= ATTACKERS
    assert gateway.metrics().of("connections") >= len(scene.honest)
    bound = BUDGET_BYTES + attack.CLIENT_BYTES * ATTACKERS + attack.SLACK_BYTES
    bound += SUBSCRIBED_BYTES.get(name, 0)
    assert memory.peak - memory.before <= bound


def _rises(now: Metrics, before: Metrics, counter: tuple[str, ...]) -> bool:
    return now.of(*counter) > before.of(*counter)


def test_renegotiation_is_refused_by_us_and_is_none_of_the_attacks_making(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).sign("server", "IP:127.0.0.1")
    port = free_tcp_port()
    words = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert, "-key", key]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        [*words, "-client_renegotiation", "-quiet"],
        stdin=subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
    ) as willing:
        until(lambda: _renegotiated(("127.0.0.1", port)) > 3)
        willing.kill()
    with serving(
        tmp_path / "log", f"tls.cert={cert}", f"tls.key={key}", "ops.tls=false"
    ) as gateway:
        where = urlsplit(gateway.url)
        assert _renegotiated((str(where.hostname), where.port or 0)) == 0
        until(lambda: gateway.metrics().of("tls_handshakes_total", "ok") == 1)


def _renegotiated(at: tuple[str, int]) -> int:
    """How often a server shakes hands again with one client."""
    rounds = iter(range(10))
    try:
        sock = socket.create_connection(at, 5)
    except ConnectionRefusedError:
        return 0
    return renegotiations(sock, b"", lambda: next(rounds, None) is None)
