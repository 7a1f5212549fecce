"""The engine finds what it is there for: exceptions, hangs, leaks, and the end of the process."""

import os
import subprocess
import sys
from collections.abc import Hashable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fuzz import run as runner
from fuzz.engine import Current, Engine, Lines
from fuzz.mutate import json_mutated, mutated, quoted
from fuzz.run import NATIVE_TESTS, Ran

SEARCH_S = 20.0
"""At most: the engine stops at the first failure."""


def target(run: Any, *seeds: bytes, json_at: int | None = None) -> Any:
    return SimpleNamespace(run=run, SEEDS=seeds, TOKENS=[b"bug"], JSON_AT=json_at)


def test_an_exception_is_a_failure_with_its_input() -> None:
    def run(data: bytes) -> Iterable[Hashable]:
        if b"bug" in data:
            raise KeyError("planted")
        return ()

    outcome = Engine(target(run, b"seed"), seed=1).run([], SEARCH_S)
    assert outcome.failure is not None
    assert b"bug" in outcome.failure.data
    assert "planted" in outcome.failure.why


def test_it_goes_by_what_is_seen() -> None:
    """Three bytes in a row would be found by chance in years."""

    def run(data: bytes) -> Iterable[Hashable]:
        right = 0
        while right < 3 and data[right : right + 1] == b"\xf0\x0d\xee"[right : right + 1]:
            right += 1
        assert right < 3
        return (right,)

    outcome = Engine(target(run, b"...."), seed=1).run([], SEARCH_S)
    assert outcome.failure is not None
    assert outcome.failure.data[:3] == b"\xf0\x0d\xee"


def test_a_hang_is_a_failure() -> None:
    def run(data: bytes) -> Iterable[Hashable]:
        while data == b"for ever":
            pass
        return ()

    outcome = Engine(target(run, b"short", b"for ever"), seed=1).run([], 0)
    assert outcome.failure is not None
    assert outcome.failure.why.startswith("hang")
    assert outcome.failure.data == b"for ever"


def test_a_leak_is_a_failure_with_the_input_that_leaks() -> None:
    held: list[object] = []

    def run(data: bytes) -> Iterable[Hashable]:
        if data == b"leaks":
            held.extend([object() for _ in range(500)])
        return (data,)

    outcome = Engine(target(run, b"fine", b"leaks", b"good"), seed=1).run([], 0)
    assert outcome.failure is not None
    assert outcome.failure.why.startswith("leak")
    assert outcome.failure.data == b"leaks"


def test_descriptors_are_told_apart_from_memory() -> None:
    held: list[int] = []

    def run(data: bytes) -> Iterable[Hashable]:
        if data == b"leaks":
            held.append(os.open(os.devnull, os.O_RDONLY))
        return (data,)

    outcome = Engine(target(run, b"fine", b"leaks"), seed=1).run([], 0)
    for descriptor in held:
        os.close(descriptor)
    assert outcome.failure is not None
    assert outcome.failure.why == "leak: 0.5 descriptors an input"
    assert outcome.failure.data == b"leaks"


def test_nothing_wrong_is_no_failure() -> None:
    outcome = Engine(target(lambda data: (len(data) % 3,), b"x"), seed=1).run([b"yy"], 0.1)
    assert outcome.failure is None
    assert outcome.inputs > 10
    assert len(outcome.kept) == 3


def test_the_same_seed_makes_the_same_inputs() -> None:
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def run(data: bytes) -> Iterable[Hashable]:
            seen.append(data)
            assert len(seen) < 200
            return ()

        Engine(target(run, b'{"a":[1,"b"]}', json_at=0), seed).run([], SEARCH_S)
        return seen

    assert inputs(1) == inputs(1) != inputs(2)


def test_lines_are_seen_once_each() -> None:
    def stepped(deep: bool) -> int:
        if deep:
            return 1
        return 0

    lines = Lines(package=__file__)
    counts = []
    for deep in (False, False, True, True):
        with lines:
            stepped(deep)
        counts.append(lines.seen)
    assert counts == [2, 2, 3, 3]


def test_json_stays_json() -> None:
    from random import Random

    rng = Random(1)
    assert json_mutated(b"{", rng) is None
    made = {json_mutated(b'{"a":[1,{"b":"c"}],"d":null}', rng) for _ in range(200)}
    assert len(made) > 100
    assert None not in made
    assert len({mutated(b"seed", rng, [b"other"], quoted("a b")) for _ in range(200)}) > 100


def test_an_input_outlives_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from fuzz.engine import Current;"
        "Current(Path(sys.argv[1])).set(b'the last'); os.abort()"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    path = tmp_path / "current"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(path)], env=environ, capture_output=True
    )
    assert done.returncode < 0
    assert Current.get(path) == b"the last"


PLANTED = """
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern void *volatile held;
void *volatile held;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 8) return 0;
    uint32_t word;
    memcpy(&word, data, 4);
    if (word != 0x600dcafe) return 0;
    %s
    return 0;
}
"""


def compiled(*words: str | Path) -> None:
    flags = "-D_GNU_SOURCE -g1 -O1 -fsanitize=address,undefined -fno-sanitize-recover=all"
    subprocess.run(["gcc", *flags.split(), *words], check=True)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled, as the core's tests have it."""
    path = tmp_path_factory.mktemp("driver") / "driver.o"
    compiled("-c", NATIVE_TESTS / "fuzz_driver.c", "-o", path)
    return path


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("if (data[size] == 1) abort();", "heap-buffer-overflow"),
        (
            "return word + INT32_MAX - (int)(size << 28) ? 1 / (int)(data[4] - data[4]) : 0;",
            "error",
        ),
        ("held = malloc(10); held = NULL;", "leak"),
        ("while (size) held = (void *)data;", "hang"),
    ],
)
def test_the_core_s_driver_finds_what_is_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: Path, what: str, told: str
) -> None:
    """By what is compared, as four bytes in a row are not found by chance."""
    source = tmp_path / "fuzz_planted.c"
    source.write_text(PLANTED % what)
    planted = tmp_path / "planted.o"
    compiled("-fsanitize-coverage=trace-pc,trace-cmp", "-w", "-c", source, "-o", planted)
    compiled(driver, planted, "-o", tmp_path / "fuzz_planted")
    monkeypatch.setattr(runner, "NATIVE_OUT", tmp_path)
    monkeypatch.setattr(runner, "OUT", tmp_path / "out")
    ran: Ran = runner.run("native_planted", 3.0 if told == "leak" else SEARCH_S, seed=1)
    assert not ran.good
    assert told in ran.words, ran.words
    if told != "leak":  # that is told at the end
        (failed,) = (tmp_path / "out" / "native_planted").glob("failed-*")
        assert failed.read_bytes()[:4] == b"\xfe\xca\x0d\x60"
