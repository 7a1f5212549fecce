"""Admission of a whole gateway: nobody is refused while anything is left to degrade."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from support.serving import Serving, until
from support.stage import Stage
from support.wire import connected, subscribe

from gateway._native import Swarm
from gateway.loadtest import endpoint as endpoints
from gateway.session.capacity import LASTING_NS

CLIENTS = 100
SYMBOLS = 25
MARKET = ('feeds.0.type="synthetic"', f"feeds.0.symbols={SYMBOLS}", "feeds.0.rate=20000")
ROUNDS = 12
FOREVER_NS = 1 << 62


@contextmanager
def audience(gateway: Serving) -> Iterator[Swarm]:
    """Half of it takes trades, half are screens, whose updates may be merged; a symbol each.

    Two clients a topic are no audience that would make so short a target infeasible.
    """
    texts = [
        json.dumps(
            {"method": "subscribe", "req_id": 1, "params": {**kind, "symbol": [symbol]}}
        ).encode()
        for symbol in (f"SYM{number:03d}.SIM" for number in range(SYMBOLS))
        for kind in ({"channel": "trade"}, {"channel": "bbo", "class": 2})
    ]
    key, target = endpoints.key(), endpoints.parse(gateway.url)
    swarm = Swarm(
        targets=[("127.0.0.1", target.port, endpoints.upgrade(target, key))],
        accept=endpoints.accept(key),
        groups=[{}],
        texts=texts,
        clients=np.array([(0, 0, n % len(texts)) for n in range(CLIENTS)], dtype=np.int32),
        stamp=("tickgate", b""),
    )
    assert swarm.connect(20_000_000_000) == CLIENTS
    thread = threading.Thread(target=lambda: swarm.run(FOREVER_NS))
    thread.start()
    try:
        yield swarm
    finally:
        swarm.stop()
        thread.join()
    assert swarm.refused() == []
    swarm.close()


def test_f35_the_101st_client_comes_in_while_the_ladder_climbs(stage: Stage) -> None:
    """So tiny a target is missed all the time, for longer than it takes to send clients away."""
    gateway = stage.serve(*MARKET, "slo.target_us=100")
    until(lambda: gateway.status()["topics"]["live"] >= 2 * SYMBOLS)  # the feed may just begin
    with audience(gateway):
        until(lambda: gateway.metrics().of("ladder_transitions_total", "up", "worker-0") > 0)
        began_ns = time.monotonic_ns()
        rounds = 0
        while rounds < ROUNDS or time.monotonic_ns() - began_ns < LASTING_NS + 2_000_000_000:
            time.sleep(0.25)
            with connected(gateway.url) as wire:
                wire.send(subscribe(["*"], "trade"))
                assert wire.reply()["results"][0]["success"] is True
            rounds += 1
        least = {"delivered_per_s": 0, "sweep_us": 0, "write_fixed_ns": 0, "sweep_clients": 1}

        def measured() -> bool:
            (controller,) = gateway.status()["controller"]
            return all(controller[name] > few for name, few in least.items())

        until(measured)
        status = gateway.status()
        assert set(status["counters"]["admission_refused"].values()) == {0}
        assert status["counters"]["handshakes"]["overload"] == 0
