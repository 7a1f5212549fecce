"""A real `tickgate serve` for tests: started once, looked at through its ops listener and /proc."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 60.0
STOP_S = 60.0
WAIT_S = 60.0
"""A deadline costs nothing where it is met, and a busy machine may stand still for seconds."""
_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'\w+="([^"]*)"')


class Metrics(dict[tuple[str, ...], float]):
    """One scrape: (name, values of its labels in order) to value; what is absent is 0."""

    def __missing__(self, key: tuple[str, ...]) -> float:
        return 0.0

    def of(self, name: str, *labels: str) -> float:
        """One sample; `tickgate_` goes before the name."""
        return self[f"tickgate_{name}", *labels]

    def total(self, name: str) -> float:
        """All samples of a name."""
        return sum(value for key, value in self.items() if key[0] == f"tickgate_{name}")


class Serving:
    """A gateway that runs.

    Attributes:
        url: where clients connect.
        ops: where the ops listener is, without a slash at the end.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.ending = False
        self.url, self.ops = self._addresses()

    def _addresses(self) -> tuple[str, str]:
        found = until(
            lambda: (
                re.search(r"serve\.ready.*?(wss?://[^\s\",]+).*?(https?://[^\s\",]+)", self.lines())
                or self.process.poll() is not None
            ),
            START_S,
        )
        assert isinstance(found, re.Match), self.lines()
        return found[1], found[2].rstrip("/")

    def lines(self) -> str:
        """What it logged so far."""
        return self.log.read_text("utf-8", "backslashreplace")

    def says(self, *words: str) -> str:
        """The first line of its log with all these words, once there is one.

        Lines are written by threads: what they tell of may be seen elsewhere before.
        """

        def found() -> str | None:
            lines = self.lines().splitlines()
            return next((line for line in lines if all(word in line for word in words)), None)

        line: str = until(found)
        return line

    def terminate(self) -> None:
        """Asks it to end; once, since a second SIGTERM kills what is not over yet."""
        if not self.ending:
            self.ending = True
            self.process.send_signal(signal.SIGTERM)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a path of the ops listener."""
        try:
            with urllib.request.urlopen(self.ops + path, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def metrics(self) -> Metrics:
        """/metrics, now."""
        _, body = self.get("/metrics")
        samples = _SAMPLE.findall(body.decode())
        return Metrics(
            ((name, *_LABEL.findall(labels)), float(value)) for name, labels, value in samples
        )

    def rises(self, before: Metrics, name: str, *labels: str, by: float = 1) -> None:
        """Waits until a counter is exactly `by` above what it was.

        Raises:
            AssertionError: it never is.
        """
        want = before.of(name, *labels) + by
        try:
            until(lambda: self.metrics().of(name, *labels) == want)
        except AssertionError:
            now = self.metrics()
            raise AssertionError(
                f"{name}{labels}: {now.of(name, *labels)}, not {want}; "
                f"{ {k: v for k, v in now.items() if k[0] == f'tickgate_{name}' and v} }"
            ) from None

    def status(self) -> dict[str, Any]:
        """/statusz."""
        document: dict[str, Any] = json.loads(self.get("/statusz")[1])
        return document

    def pid(self, name: str = "worker-0") -> int:
        """Of a child process."""
        return next(int(one["pid"]) for one in self.status()["processes"] if one["name"] == name)


def until(condition: Callable[[], Any], timeout_s: float = WAIT_S, interval_s: float = 0.02) -> Any:
    """Waits until the condition gives something true, and gives it.

    Raises:
        AssertionError: it never does.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(interval_s)
    return found


def settled(served: Serving) -> bool:
    """Whether every delivery was made."""
    metrics = served.metrics()
    return metrics.total("pending") == 0 and metrics.total("deliveries_total") > 0


def kill_worker(served: Serving) -> None:
    """Kills it, and waits until there is another one."""
    pid = served.pid()
    os.kill(pid, signal.SIGKILL)
    until(lambda: served.pid() != pid and served.status()["processes"])


def descriptors(pid: int) -> int:
    """Open descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_bytes(pid: int) -> int:
    """Its resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor_s(pid: int) -> float:
    """Processor time it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(
    log: Path,
    *sets: str,
    environ: Mapping[str, str] | None = None,
    command: str = "serve",
    config: Path | None = None,
    before: Sequence[str] = (),
) -> Iterator[Serving]:
    """Runs `tickgate serve` on free ports with these settings; `log` takes what it writes.

    `environ` is added to its processes' environment, `before` goes before its command line. At the
    end it has to stop with exit code 0.
    """
    words = [*before, sys.executable, "-P", "-m", "gateway.cli", command]
    words += [] if config is None else ["--config", str(config)]
    for one in ("listen.port=0", "ops.port=0", *sets):
        words += ["--set", one]
    ours = {name: value for name, value in os.environ.items() if "TICKGATE" not in name}
    ours["XDG_STATE_HOME"] = str(log.parent / "state")
    ours |= environ or {}
    with (
        log.open("wb") as sink,
        subprocess.Popen(words, stdout=sink, stderr=sink, env=ours) as process,
    ):
        try:
            served = Serving(process, log)
            yield served
            served.terminate()
            assert process.wait(STOP_S) == 0, log.read_text()
        finally:
            if process.poll() is None:
                process.kill()
