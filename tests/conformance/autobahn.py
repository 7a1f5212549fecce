"""Runs the Autobahn test suite's fuzzing client against the gateway's connection code.

    make conformance
    make conformance CONFORMANCE=--tls
    make conformance CONFORMANCE='--url wss://127.0.0.1:9001/echo'
    make conformance CONFORMANCE='--cases 6.4.* 7.*'

Without a URL it serves an echo of its own (`support.echo`), with `--tls` over TLS. The suite is
`wstest` of `autobahntestsuite` 25.10.1, which needs CPython 2.7, Twisted 19.10 and autobahn 0.10.9:

    PYTHONUSERBASE=build/wstest python2.7 -m pip install --user autobahntestsuite==25.10.1 \
        twisted==19.10.0 autobahn==0.10.9

CPython 2.7 comes with pyenv, and with Debian 11 (`debootstrap bullseye`), where pip 20.3.4 runs
from its wheel, and setuptools below 45 has to go first. `wstest` is found there, in PATH, or by
`--wstest`; the exit status is 77 where there is none. It ends with 0 whatever it finds, so that the
verdict is read from its index: a case has to be OK, informational, or unimplemented where it is
about compression, which the gateway declines. Some may be NON-STRICT.

`test_autobahn_cases.py` has the same cases, always.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from support.certificates import Authority
from support.echo import echo_process

ROOT: Final = Path(__file__).parents[2]
USER_BASE: Final = ROOT / "build" / "wstest"
OUT: Final = ROOT / "build" / "autobahn"
CASES: Final = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.1.*")
TIMEOUT_S: Final = 3600.0
MISSING_EXIT: Final = 77
GOOD: Final = frozenset({"OK", "NON-STRICT", "INFORMATIONAL"})
NON_STRICT_MAX: Final = 10
"""`websockets` 17.4 has 11."""


class Verdict(NamedTuple):
    """What an index says.

    Attributes:
        counts: cases by how the testee behaved.
        told: a line on each case that is neither OK nor informational.
        good: whether nothing failed and little is not strict.
    """

    counts: Counter[str]
    told: list[str]
    good: bool


def judge(index: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """Of all cases of one agent, by their numbers."""
    counts = Counter(str(case["behavior"]) for case in index.values())
    told, good = [], bool(index) and counts["NON-STRICT"] <= NON_STRICT_MAX
    for number in sorted(index, key=lambda number: [int(part) for part in number.split(".")]):
        case = index[number]
        behavior, closing = case["behavior"], case["behaviorClose"]
        fine = behavior in GOOD and closing in {"OK", "INFORMATIONAL"}
        if number.startswith("12."):
            fine |= behavior == "UNIMPLEMENTED"
        good &= fine
        if not fine or behavior == "NON-STRICT":
            told.append(f"{number}: {behavior}, close {closing}")
    return Verdict(counts, told, good)


def find_wstest(named: str | None) -> str | None:
    """Where the suite is."""
    places = os.pathsep.join([str(USER_BASE / "bin"), os.environ.get("PATH", "")])
    return named or shutil.which("wstest", path=places)


def run(wstest: str, url: str, cases: Sequence[str], out: Path) -> dict[str, Any]:
    """The suite's index of one agent."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    spec = out / "spec.json"
    servers = [{"agent": "tickgate", "url": url}]
    document = {"outdir": str(out), "servers": servers, "cases": list(cases), "exclude-cases": []}
    spec.write_text(json.dumps(document))
    words = [wstest, "-m", "fuzzingclient", "-s", str(spec)]
    environ = {"PYTHONUSERBASE": str(Path(wstest).parents[1]), **os.environ}
    with (out / "log").open("wb") as log:
        subprocess.run(
            words, cwd=out, env=environ, stdout=log, stderr=log, timeout=TIMEOUT_S, check=True
        )
    index: dict[str, Any] = json.loads((out / "index.json").read_text())["tickgate"]
    return index


@contextmanager
def served(url: str | None, *, tls: bool) -> Iterator[str]:
    """The URL of the echo: another's, or one that is served meanwhile."""
    with tempfile.TemporaryDirectory() as directory:
        if url:
            yield url
            return
        files = Authority(Path(directory)).sign("echo", "IP:127.0.0.1") if tls else ()
        with echo_process(*files) as own:
            yield own


def main(words: argparse.Namespace) -> int:
    wstest = find_wstest(words.wstest)
    if wstest is None:
        print("skipped: wstest is not installed; how to is in tests/conformance/autobahn.py")
        return MISSING_EXIT
    with served(words.url, tls=words.tls) as url:
        index = run(wstest, url, words.cases, words.out)
    verdict = judge(index)
    print(*verdict.told, sep="\n")
    print(f"{len(index)} cases:", ", ".join(f"{n} {name}" for name, n in verdict.counts.items()))
    return 0 if verdict.good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="of an echo; else one is served")
    parser.add_argument("--tls", action="store_true", help="the one that is served has TLS")
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--wstest", help="where the suite is")
    parser.add_argument("--out", type=Path, default=OUT)
    sys.exit(main(parser.parse_args()))
