"""What is taken of pages and reports, and what is left out."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import to_builtins
from support.reports import feed, slow, step, worker

from gateway.config import assemble
from gateway.latency.slo import Objective, Report
from gateway.model.status import Status
from gateway.recorder.observe import NEWS, Observer
from gateway.recorder.source import told
from gateway.recording import Counts

REPORT = Report(Objective(), 0.0)


class Page:
    """A page of one counter array and one stage."""

    def __init__(self) -> None:
        self.arrays = {"routed": (0, 5, 0), "requests": (7,), "links": (0,)}
        self.places: dict[int, int] = {}

    def read(self) -> dict[str, tuple[int, ...]]:
        return dict(self.arrays)

    def counts(self, stage: str) -> npt.NDArray[np.uint64]:
        counts = np.zeros(100, dtype=np.uint64)
        for place, count in self.places.items():
            counts[place] = count
        return counts

    def totals(self, stage: str) -> tuple[int, int, int, int]:
        return sum(self.places.values()), 0, 0, 0


def second(observer: Observer, at: int, status: Status | None = None) -> Any:
    return observer.second(at * 10**9, REPORT, {"worker-0": status or Status()})


def test_of_a_page_only_what_a_diagnosis_needs_and_no_zeros() -> None:
    sample = Observer({"worker-0": Page()}, ()).sample(1, 2, 3, {}, whole=False)
    assert sample.pages == {"worker-0": {"routed": [0, 5]}}
    assert (sample.mono_ns, sample.real_ns, sample.late_ns) == (1, 2, 3)
    assert (sample.host, sample.threads) == ({}, [])


def test_a_second_has_what_was_counted_in_it_by_all_processes() -> None:
    one, other = Page(), Page()
    one.places = {3: 10}
    observer = Observer({"a": one, "b": other}, ("ring",))
    assert second(observer, 1).stages == {}, "what was before is of no second"
    one.places, other.places = {3: 12, 5: 1}, {5: 4}
    found = second(observer, 2)
    assert (found.span_ns, found.stages) == (10**9, {"ring": Counts([3, 5], [2, 5])})
    assert second(observer, 3).stages == {}


def test_histories_are_told_once_and_states_each_time() -> None:
    observer = Observer({}, ())
    steps = step(1), step(2)
    entries, slowest = to_builtins(list(steps)), [to_builtins(slow())]
    first = second(observer, 1, worker(ladder=steps[:1], slowest=(slow(),))).said["worker-0"]
    assert first == {"ladder": entries[:1], "slowest": slowest}
    then = second(observer, 2, worker(ladder=steps, slowest=(slow(),), connections=5))
    assert then.said["worker-0"] == {"ladder": entries[1:], "slowest": slowest}
    assert second(observer, 3, worker(ladder=steps)).said == {}
    assert {*NEWS} == {"ladder", "stalls"}


def test_no_path_and_no_address_of_the_configuration_is_told(tmp_path: Path) -> None:
    capture = tmp_path / "secret.gz"
    capture.touch()
    feeds = [
        {"type": "replay", "path": str(capture), "venue": "A"},
        {"type": "udp", "host": "10.9.8.7", "port": 9, "venue": "B"},
    ]
    document = {"feeds": feeds, "listen": {"origins": ["https://secret.example"]}}
    sets = [f"recorder.directory={tmp_path}/secret", "listen.host=10.1.2.3", "listen.insecure=true"]
    config = assemble(document, {}, sets)
    text = str(told(config))
    for hidden in ("10.9.8.7", "10.1.2.3", "secret", "/"):
        assert hidden not in text
    assert "'venue': 'B'" in text
    observer = Observer({}, ())
    one = feed("replay:A", "failed", f"{capture}: No such file")
    (told_of,) = second(observer, 1, Status(feeds=(one,))).said["worker-0"]["feeds"]
    assert (told_of["name"], told_of["state"]) == ("replay:A", "failed")
    assert "message" not in told_of
