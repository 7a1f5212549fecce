"""Real breaches of a whole gateway: each is recorded, and its first cause is the one that it had.

What is done to the gateway is far larger than what a busy host does to it by itself.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from support.serving import Serving, serving, until
from support.stage import Stage
from support.traffic import Audience, Market
from support.wire import Wire, request

from gateway.loadtest.processes import family
from gateway.recorder.evidence import Evidence, load
from gateway.recorder.explain import Explanation, explain
from gateway.recorder.words import render

CALM_S = 3.5
SYNTHETIC = ('feeds.0.type="synthetic"', "feeds.0.rate=4000", "feeds.0.symbols=10")
BAD = ("breached", "infeasible")
HOGS = 8
HOG = "taskset", "-c", "{cpu}", "sh", "-c", "while :; do :; done"


class Scene:
    """A gateway with a market and an audience."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._stack = ExitStack()

    def play(
        self, *sets: str, per_s: int, clients: int, target_ms: float, receive_bytes: int = 1 << 16
    ) -> Serving:
        """Starts, and lets some calm seconds go by."""
        self.market = Market(per_s)
        self._stack.callback(self.market.stop)
        self.gateway = self._stage.serve(
            *(self.market.sets if per_s else SYNTHETIC),
            f"slo.target_us={round(target_ms * 1000)}",
            "limits.lossless_max_age_ms=60000",
            "recorder.min_interval_s=1",
            *sets,
        )
        self.clients = [
            self._stage.connect(receive_buffer_bytes=receive_bytes) for _ in range(clients)
        ]
        for client in self.clients:
            client.subscribe("trade", "*")
        self.audience = Audience(self.clients)
        self._stack.callback(self.audience.stop)
        if per_s:
            self.market.start()
        time.sleep(CALM_S)
        return self.gateway

    def missed(self) -> bool:
        """Whether the objective is, now."""
        return self.gateway.status()["slo"]["state"] in BAD

    def recorded(self, done: Callable[[], None]) -> Explanation:
        """What the recording of the breach that this leads to shows: the first that is seen since
        it began. What the start or a busy host had missed is over before.
        """
        until(lambda: not self.missed(), 60)
        began_ns = time.time_ns()
        done()
        return explain(until(lambda: self._seen_since(began_ns), 30, 0.2))

    def _seen_since(self, began_ns: int) -> Evidence | None:
        path = self.gateway.status()["recorder"]["last"]
        found = read(Path(path)) if path else None
        return found if found and found.utc_ns(found.header.trigger_ns) > began_ns else None

    def close(self) -> None:
        """The market first, then its audience."""
        self._stack.close()


def read(path: Path) -> Evidence:
    with path.open("rb") as file:
        return load(file)


@pytest.fixture
def scene(stage: Stage) -> Iterator[Scene]:
    one = Scene(stage)
    yield one
    one.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A gateway with a little to do, for tests that leave it as it was."""
    log = tmp_path_factory.mktemp("served") / "log"
    with serving(log, 'feeds.0.type="synthetic"', "feeds.0.rate=100") as gateway:
        yield gateway


def cause(explanation: Explanation) -> str:
    return explanation.first_cause.cause if explanation.first_cause else "none"


def test_a_feed_that_stalls(scene: Scene) -> None:
    scene.play(per_s=6000, clients=10, target_ms=50)
    found = scene.recorded(lambda: scene.market.hold(1.5))
    assert cause(found) == "feed_stalled", render(found)


def test_a_feed_process_that_is_stopped(scene: Scene) -> None:
    gateway = scene.play(per_s=6000, clients=10, target_ms=50)
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
        time.sleep(2.5)
        scene.audience.leave_out(None)

    found = scene.recorded(stop_reading)
    assert cause(found) == "slow_clients", render(found)
    assert found.harm is not None
    assert found.harm["share"] < 0.5


def give_way(pids: Sequence[int]) -> None:
    """The data planes of these processes come after all that wants their CPU, from now on."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError, FileNotFoundError):  # it ended meanwhile
                if (task / "comm").read_text().startswith("tickgate-plane"):
                    os.setpriority(os.PRIO_PROCESS, int(task.name), 19)


@pytest.mark.alone
def test_stolen_cpu(scene: Scene) -> None:
    cpu = max(os.sched_getaffinity(0))
    # No market of the test's own: it would be starved too, and stall. Sockets have room for as long
    # as their readers wait on a busy host.
    sets = (f"plane.cpu={cpu}",)
    gateway = scene.play(*sets, per_s=0, clients=20, target_ms=20, receive_bytes=1 << 20)
    hog = [word.format(cpu=cpu) for word in HOG]

    def steal() -> None:
        give_way(family(gateway.process.pid))
        hogs = [subprocess.Popen(hog) for _ in range(HOGS)]
        try:
            time.sleep(2.0)
            # On a busy host they get less of that CPU, and it takes them longer.
            until(scene.missed, 60)
        finally:
            for one in hogs:
                one.kill()
                one.wait()

    found = scene.recorded(steal)
    assert cause(found) == "cpu_theft", render(found)


# --- asking for one -------------------------------------------------------------------------------


def tickgate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "gateway.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_asked_for_explained_and_played_again(stage: Stage, tmp_path: Path) -> None:
    gateway = stage.serve('feeds.0.type="synthetic"', "feeds.0.symbols=3", "feeds.0.rate=500")
    client = stage.connect()
    client.subscribe("trade", "*")
    first = [client.next(channel="trade", type="update") for _ in range(50)]
    path = tmp_path / "asked.tgrec"
    done = tickgate("record", "--output", str(path), "--seconds", "50", "--ops", gateway.ops)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.exists()
    assert not path.with_name("asked.tgrec.part").exists()
    until(lambda: gateway.metrics().of("recordings_total", "streamed") == 1)

    told = tickgate("explain", str(path))
    assert told.returncode == 0
    assert "First cause" in told.stdout
    assert "(request)" in told.stdout
    machine = json.loads(tickgate("explain", str(path), "--json").stdout)
    assert machine["recording"]["records"] >= 50
    assert machine["recording"]["problem"] == ""

    played = stage.serve(
        f"feeds.0.path={json.dumps(str(path))}",
        'feeds.0.type="replay"',
        'feeds.0.format="ring"',
        'feeds.0.venue="SIM"',
        "feeds.0.start_after_clients=1",
        "feeds.0.speed=0",
    )
    again = stage.connect()
    again.subscribe("trade", "*")
    wanted = {(m["symbol"], m["data"][0]["id"]): m["data"][0] for m in first}
    for message in again.each():
        if message.get("channel") == "trade" and message["type"] == "update":
            row = message["data"][0]
            assert wanted.pop((message["symbol"], row["id"]), row) == row, "digit for digit"
            if not wanted:
                break
    assert played.status()["feeds"][0]["decode_errors"] == 0


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/record?seconds=5", [("Origin", "http://127.0.0.1:9464")], 403),
        ("/record?seconds=5", [("Origin", "null")], 403),
        ("/record?seconds=0", [], 400),
        ("/record?seconds=51", [], 400),
        ("/record?seconds=nan", [], 400),
        ("/record?seconds=x", [], 400),
    ],
)
@pytest.mark.threat("I6")
def test_f07_pages_and_nonsense_get_no_recording(
    served: Serving, path: str, headers: list[tuple[str, str]], status: int
) -> None:
    with Wire(served.ops.replace("http", "ws")) as wire:
        wire.send(request(path, more=headers))
        assert wire.response().status == status


def test_a_plain_get_records_nothing(served: Serving) -> None:
    before = served.metrics().of("recordings_total", "streamed")
    assert served.get("/record")[0] == 426
    assert served.metrics().of("recordings_total", "streamed") == before


def test_who_hangs_up_in_the_middle_leaves_the_way_free(served: Serving) -> None:
    def asked() -> bool:
        with Wire(served.ops.replace("http", "ws")) as wire:
            wire.send(request("/record"))
            begun = wire.response().status == 101
            wire.reset()
            return begun

    for _ in range(3):
        until(asked)


def test_words_for_what_cannot_be_had(tmp_path: Path) -> None:
    nobody = tickgate("record", "-o", str(tmp_path / "x"), "--ops", "127.0.0.1:1")
    assert (nobody.returncode, os.listdir(tmp_path)) == (1, [])
    assert "Does the gateway run?" in nobody.stderr
    for text, why in (("", "not a recording"), ("\x89TGREC", "not a recording")):
        (tmp_path / "file").write_text(text)
        told = tickgate("explain", str(tmp_path / "file"))
        assert (told.returncode, told.stdout) == (1, "")
        assert why in told.stderr
    assert "No such file" in tickgate("explain", str(tmp_path / "none")).stderr
    bad = tickgate("replay", str(tmp_path / "none"))
    assert (bad.returncode, bad.stdout) == (78, "")
    assert "No such file" in bad.stderr
