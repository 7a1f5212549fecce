"""Fuzzes all targets, or those that are named: `make fuzz FUZZ='--seconds 10 frames native_sbe'`.

Each is a process of its own, Python's (`engine.py`) or the core's (`native/test/fuzz_driver.c`,
under the address and undefined behaviour checkers). What fails is told with its input, which is in
`build/fuzz/TARGET/failed-*`; `--keep` adds what reached something new to the kept corpora. A new
target is a file, `target_NAME.py` or `fuzz_NAME.c`, and a corpus of the same name.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from fuzz import corpus
from fuzz.engine import Current, save

ROOT: Final = Path(__file__).parents[2]
OUT: Final = ROOT / "build" / "fuzz"
NATIVE_TESTS: Final = ROOT / "native" / "test"
NATIVE_OUT: Final = ROOT / "build" / "native-test" / "fuzz"
KEPT_MAX: Final = 250
"""Inputs that are kept of a target; of more the shortest."""
KEPT_BYTES_MAX: Final = 1024
GRACE_S: Final = 120.0
"""How much longer than told a target may take: it looks for leaks when it is through."""


class Ran(NamedTuple):
    """What came of a target."""

    target: str
    good: bool
    words: str


def python_targets() -> list[str]:
    """By the names of their modules."""
    files = Path(__file__).parent.glob("target_*.py")
    return sorted(file.stem.removeprefix("target_") for file in files)


def native_targets() -> list[str]:
    """By the names of their files."""
    files = NATIVE_TESTS.glob("fuzz_*.c")
    names = (file.stem.removeprefix("fuzz_") for file in files)
    return sorted(f"native_{name}" for name in names if name != "driver")


def build(targets: Sequence[str]) -> None:
    """Compiles those of the core that are among them."""
    if any(map(_is_native, targets)):
        subprocess.run(["make", "-s", "-C", str(NATIVE_TESTS), "fuzz"], check=True)


def _is_native(target: str) -> bool:
    return target.startswith("native_")


def _words(target: str, seconds: float, seed: int, out: Path) -> list[str]:
    if not _is_native(target):
        engine = Path(__file__).with_name("engine.py")
        return [sys.executable, str(engine), target, str(seconds), str(seed), str(out)]
    given = out / "given"
    given.mkdir(exist_ok=True)
    for old in given.iterdir():
        old.unlink()
    for number, data in enumerate(corpus.read(corpus.path_of(target))):
        (given / f"{number:05}").write_bytes(data)
    program = NATIVE_OUT / f"fuzz_{target.removeprefix('native_')}"
    return [str(program), str(seconds), str(seed), str(out), str(given)]


def run(target: str, seconds: float, seed: int) -> Ran:
    """One target; a process that is gone leaves its last input."""
    out = OUT / target
    out.mkdir(parents=True, exist_ok=True)
    words = _words(target, seconds, seed, out)
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            words, env=environ, capture_output=True, text=True, errors="replace",
            timeout=seconds + GRACE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Ran(target, False, f"it never ended; {_last(out)}")
    told = (done.stdout + done.stderr).strip()
    if done.returncode and "failed-" not in told:
        told += f"\nended with {done.returncode}; {_last(out)}"
    return Ran(target, done.returncode == 0, told)


def _last(out: Path) -> str:
    current = out / "current"
    return f"its input: {save(out, Current.get(current))}" if current.exists() else "no input"


def keep(target: str) -> None:
    """Adds what was found to the kept corpus, as far as there is room."""
    found = OUT / target / "kept.txt"
    new = corpus.read(found)
    if _is_native(target):
        files = (OUT / target / "kept").glob("*")
        new = [file.read_bytes() for file in files]
    kept = corpus.read(corpus.path_of(target))
    small = sorted((data for data in new if len(data) <= KEPT_BYTES_MAX), key=len)
    room = max(KEPT_MAX - len(kept), 0)
    step = max(len(small) // max(room, 1), 1)  # of all lengths some
    corpus.write(corpus.path_of(target), [*kept, *small[::step][:room]])


def main(words: argparse.Namespace) -> int:
    known = [*native_targets(), *python_targets()]
    targets = words.targets or known
    if unknown := {*targets} - {*known}:
        print(f"no such targets: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return 2
    build(targets)
    begun_s = time.monotonic()
    with ThreadPoolExecutor(words.jobs) as pool:
        results = list(pool.map(lambda one: run(one, words.seconds, words.seed), targets))
    for one in results:
        print(f"{'ok    ' if one.good else 'FAILED'} {one.target}: {one.words}")
        if words.keep:
            keep(one.target)
    bad = sum(not one.good for one in results)
    print(f"{len(results)} targets in {time.monotonic() - begun_s:.0f} s")
    # The line that is looked for where this is a test's step.
    print(f"fuzz: {len(results) - bad} passed, {bad} failed")
    return 1 if bad else 0


def number_of(text: str) -> float:
    """Seconds."""
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return float(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", help="all, where none is named")
    parser.add_argument("--seconds", type=number_of, default=10.0, help="of each")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="what reaches something new")
    sys.exit(main(parser.parse_args()))
