"""Real breaches of a whole gateway: each is recorded, and its first cause is the one that it had.

What is done to the gateway is far larger than what a busy host does to it by itself. Where the host
was so busy that the objective was missed before, and no new breach came, the same recording is
asked for.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.serving import Serving, until
from support.stage import Stage
from support.traffic import Audience, Market

from gateway.recorder.evidence import load
from gateway.recorder.explain import Explanation, explain
from gateway.recorder.words import render

CALM_S = 4.0
BAD = ("breached", "infeasible")
HOGS = 40
HOG = "import os; os.sched_setaffinity(0, [{cpu}])\nwhile True: pass"


class Scene:
    """A gateway with a market and an audience."""

    def __init__(self, stage: Stage, where: Path) -> None:
        self._stage = stage
        self._where = where
        self._stack = ExitStack()

    def play(self, *sets: str, per_s: int, clients: int, target_ms: float) -> Serving:
        """Starts, and lets some calm seconds go by."""
        self.market = Market(per_s)
        self._stack.callback(self.market.stop)
        self.gateway = self._stage.serve(
            *self.market.sets,
            f"slo.target_us={round(target_ms * 1000)}",
            "limits.lossless_max_age_ms=60000",
            "recorder.min_interval_s=1",
            *sets,
        )
        self.clients = [self._stage.connect(receive_buffer_bytes=1 << 16) for _ in range(clients)]
        for client in self.clients:
            client.subscribe("trade", "*")
        self.audience = Audience(self.clients)
        self._stack.callback(self.audience.stop)
        self.market.start()
        time.sleep(CALM_S)
        return self.gateway

    def recorded(self, done: Callable[[], None]) -> Explanation:
        """What the recording of the breach that this leads to shows."""
        before = self.gateway.status()["recorder"]["written"]
        done()
        until(lambda: self.gateway.status()["slo"]["state"] in BAD, 10)
        try:
            status = until(
                lambda: (s := self.gateway.status()["recorder"])["written"] > before and s, 5
            )
            path = Path(status["last"])
        except AssertionError:
            path = self._where / "asked.tgrec"
            self.record(path)
        with path.open("rb") as file:
            return explain(load(file))

    def record(self, path: Path) -> None:
        """Asks for a recording as a person would."""
        words = [sys.executable, "-P", "-m", "gateway.cli", "record", "--output", str(path)]
        subprocess.run([*words, "--ops", self.gateway.ops], check=True, stdout=subprocess.DEVNULL)

    def close(self) -> None:
        """The market first, then its audience."""
        self._stack.close()


@pytest.fixture
def scene(stage: Stage, tmp_path: Path) -> Iterator[Scene]:
    one = Scene(stage, tmp_path)
    yield one
    one.close()


def cause(explanation: Explanation) -> str:
    return explanation.first_cause.cause if explanation.first_cause else "none"


def test_a_feed_that_stalls(scene: Scene) -> None:
    scene.play(per_s=5000, clients=12, target_ms=20)
    found = scene.recorded(lambda: scene.market.hold(2.0))
    assert cause(found) == "feed_stalled", render(found)


def test_a_feed_process_that_is_stopped(scene: Scene) -> None:
    gateway = scene.play(per_s=5000, clients=12, target_ms=20)
    pid = gateway.pid("feed")

    def stop() -> None:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1.2)
        os.kill(pid, signal.SIGCONT)

    found = scene.recorded(stop)
    assert cause(found) == "stopped", render(found)
    assert found.first_cause is not None
    assert "feed" in found.first_cause.words


def test_a_slow_client(scene: Scene) -> None:
    scene.play(per_s=2000, clients=6, target_ms=200)

    def stop_reading() -> None:
        scene.audience.leave_out(scene.clients[2])
        time.sleep(3.0)
        scene.audience.leave_out(None)

    found = scene.recorded(stop_reading)
    assert cause(found) == "slow_clients", render(found)
    assert found.harm is not None
    assert found.harm["share"] < 0.5


def test_stolen_cpu(scene: Scene) -> None:
    cpu = max(os.sched_getaffinity(0))
    scene.play(f"plane.cpu={cpu}", per_s=2000, clients=20, target_ms=20)
    hog = [sys.executable, "-c", HOG.format(cpu=cpu)]

    def steal() -> None:
        hogs = [subprocess.Popen(hog) for _ in range(HOGS)]
        try:
            time.sleep(3.0)
        finally:
            for one in hogs:
                one.kill()
                one.wait()

    found = scene.recorded(steal)
    assert cause(found) == "cpu_theft", render(found)
