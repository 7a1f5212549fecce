"""Runs one target with inputs that it makes of others, and keeps those that reach new lines.

A target is a module (`target_*.py`) with `SEEDS`, `TOKENS`, `JSON_AT` (where lines of JSON begin
in an input; None: it has none), and `run(data)`, which raises where the gateway is wrong, and gives
what it has seen: inputs with something new in it are kept, too. What is a failure: an exception of
`run`, one second of processor time, memory that is kept by each input, and the end of the process.
Its input is saved.

The lines of the package are traced, each function until all its lines were seen, and not for each
input, since that takes three times as long. What is native is
seen by what it answers alone; `native/test/fuzz_*.c` has that with its own coverage.
"""

import gc
import hashlib
import importlib
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from random import Random
from types import CodeType, FrameType, ModuleType
from typing import Any, Final, NamedTuple

from fuzz import corpus
from fuzz.mutate import json_mutated, mutated

import gateway

HANG_S: Final = 1.0
SEEN_MAX: Final = 1000
"""Things that are told apart of what `run` gives."""
TRACED: Final = 0.3
"""Of the inputs."""
LEAK_PASSES: Final = 4
LEAK_INPUTS: Final = 100
LEAKS_MAX: Final = (0.9, 0.0, 64 << 10)
"""Of `_HELD`, what may be left behind by each input; what is interned takes some."""
SLACK: Final = (200, 0, 32 << 20)
"""The same by all together: looking takes some itself, and books' memory comes in megabytes."""
CURRENT_BYTES: Final = 1 << 16

_PACKAGE: Final = str(Path(gateway.__file__).parent)


class Hang(BaseException):
    """An input took more than `HANG_S`."""


class Failure(NamedTuple):
    """What was wrong, with which input."""

    why: str
    data: bytes


class Outcome(NamedTuple):
    """What a run came to."""

    inputs: int
    seconds: float
    lines: int
    kept: list[bytes]
    failure: Failure | None


class Lines:
    """The package's lines that were run."""

    def __init__(self, package: str = _PACKAGE) -> None:
        self.seen = 0
        self._package = package
        self._left: dict[int, set[int]] = {}
        self._codes: list[CodeType] = []  # so that no number is used again

    def __enter__(self) -> None:
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, _: str, __: Any) -> Any:
        code = frame.f_code
        left = self._left.get(id(code))
        if left is None:
            ours = code.co_filename.startswith(self._package)
            left = {line for *_, line in code.co_lines() if line} if ours else set()
            left.discard(code.co_firstlineno)
            self._left[id(code)] = left
            self._codes.append(code)
        if not left:
            return None

        def line(frame: FrameType, event: str, _: Any) -> Any:
            if frame.f_lineno in left:
                left.discard(frame.f_lineno)
                self.seen += 1
            return line

        return line


class Current:
    """The input that is run, in a file that outlives the process."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(CURRENT_BYTES))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), CURRENT_BYTES)

    def set(self, data: bytes) -> None:
        size = min(len(data), CURRENT_BYTES - 4)
        self._memory[: 4 + size] = size.to_bytes(4, "big") + data[:size]

    @staticmethod
    def get(path: Path) -> bytes:
        """The last one of a process that is gone."""
        whole = path.read_bytes()
        return whole[4 : 4 + int.from_bytes(whole[:4], "big")]


_HELD: Final = ("blocks of Python's memory", "descriptors", "bytes")


def _held() -> tuple[int, int, int]:
    """What the process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = len(os.listdir("/proc/self/fd"))
    return sys.getallocatedblocks(), descriptors, pages * mmap.PAGESIZE


def _too_long(*_: object) -> None:
    raise Hang(f"more than {HANG_S} s of processor time")


class Engine:
    """One target's run.

    Args:
        target: its module.
        seed: of all chance.
        current: where the input that is run is written down.
    """

    def __init__(self, target: ModuleType, seed: int, current: Current | None = None) -> None:
        self._run: Callable[[bytes], Iterable[Hashable]] = target.run
        self._tokens: Sequence[bytes] = target.TOKENS
        self._json_at: int | None = target.JSON_AT
        self._seeds: Sequence[bytes] = target.SEEDS
        self._rng = Random(seed)
        self._current = current
        self._lines = Lines()
        self._seen: set[Hashable] = set()
        self.kept: list[bytes] = []
        self._leading: list[bytes] = []  # those that reached new lines
        self.inputs = 0

    def run(self, kept: Sequence[bytes], seconds: float) -> Outcome:
        """Runs the seeds and what is kept, then makes more for so long."""
        begun_s = time.monotonic()
        before = signal.signal(signal.SIGPROF, _too_long)
        failure = self._search([*self._seeds, *kept], begun_s + seconds)
        signal.signal(signal.SIGPROF, before)
        if failure is None:
            failure = self._leaks()
        taken_s = time.monotonic() - begun_s
        return Outcome(self.inputs, taken_s, self._lines.seen, self.kept, failure)

    def _search(self, given: Sequence[bytes], deadline_s: float) -> Failure | None:
        for data in given:
            if failure := self._one(data, traced=True):
                return failure
        pool = list(dict.fromkeys([*given, *self.kept])) or [b""]
        while time.monotonic() < deadline_s:
            before = len(self.kept)
            data = self._made(pool)
            if failure := self._one(data, traced=self._rng.random() < TRACED):
                return failure
            pool += self.kept[before:]
        return None

    def _made(self, pool: Sequence[bytes]) -> bytes:
        rng = self._rng
        # What reached new lines, and what was found last, leads on more often.
        some = rng.choice((pool, pool[-50:], self._leading or pool, self._leading[-20:] or pool))
        parent = rng.choice(some)
        if self._json_at is not None and rng.random() < 0.6:
            head, lines = parent[: self._json_at], parent[self._json_at :].split(b"\n")
            at = rng.randrange(len(lines))
            if (made := json_mutated(lines[at], rng)) is not None:
                lines[at : at + rng.choice((1, 1, 0))] = [made]
                return head + b"\n".join(lines)
        return mutated(parent, rng, pool, self._tokens)

    def _one(self, data: bytes, *, traced: bool) -> Failure | None:
        self.inputs += 1
        if self._current is not None:
            self._current.set(data)
        before = self._lines.seen, len(self._seen)
        signal.setitimer(signal.ITIMER_PROF, HANG_S)
        try:
            with self._lines if traced else nullcontext():
                seen = self._run(data)
        except Hang as hang:
            return Failure(f"hang: {hang}", data)
        except Exception:
            return Failure(traceback.format_exc(), data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if len(self._seen) < SEEN_MAX:
            self._seen.update(seen)
        if self._lines.seen != before[0]:
            self._leading.append(data)
        if (self._lines.seen, len(self._seen)) != before:
            self.kept.append(data)
        return None

    def _leaks(self) -> Failure | None:
        """Whether the same inputs again and again keep memory or descriptors."""
        some = self.kept[:: len(self.kept) // LEAK_INPUTS + 1]
        passes = []
        for _ in range(LEAK_PASSES):
            for data in some:
                self._run(data)
            passes.append(_held())
        _, first, *_, last = passes  # what is kept once is no leak
        runs = max(len(some) * (LEAK_PASSES - 2), 1)
        for name, was, now, most, slack in zip(_HELD, first, last, LEAKS_MAX, SLACK, strict=True):
            if now - was > most * runs + slack:
                why = f"leak: {(now - was) / runs:.1f} {name} an input"
                return Failure(why, self._leaking(some, _HELD.index(name)))
        return None

    def _leaking(self, some: Sequence[bytes], what: int) -> bytes:
        """The input that leaves most behind."""
        left = []
        for data in some:
            before = _held()[what]
            for _ in range(10):
                self._run(data)
            left.append(_held()[what] - before)
        return some[left.index(max(left))]


def main(name: str, seconds: float, seed: int, out: Path) -> int:
    """Runs a target in this process; prints what it came to, and saves a failure's input."""
    out.mkdir(parents=True, exist_ok=True)
    target = importlib.import_module(f"fuzz.target_{name}")
    outcome = Engine(target, seed, Current(out / "current")).run(
        corpus.read(corpus.path_of(name)), seconds
    )
    corpus.write(out / "kept.txt", outcome.kept)
    rate = outcome.inputs / max(outcome.seconds, 1e-3)
    print(
        f"{outcome.inputs} inputs in {outcome.seconds:.0f} s, {rate:.0f}/s,"
        f" {outcome.lines} lines, {len(outcome.kept)} kept"
    )
    if outcome.failure is None:
        return 0
    path = save(out, outcome.failure.data)
    print(outcome.failure.why, f"its input: {path}", sep="\n")
    return 1


def save(out: Path, data: bytes) -> Path:
    """Writes a failure's input down; where."""
    path = out / f"failed-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    words = sys.argv[1:]
    os.environ.pop("PYTHONDEVMODE", None)
    sys.exit(main(words[0], float(words[1]), int(words[2]), Path(words[3])))
