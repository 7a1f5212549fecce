"""The package by itself: its types, its tests, what it needs, and its size."""

import gzip
import json
import re
from pathlib import Path

import msgspec
import pytest
from support.typescript import CLIENT, run

from gateway.client import events

# Minified, without compression. It is loaded by pages: more should be a decision.
BUNDLE_BYTES_MAX = 51_000
FILE_LINES_MAX = 500
LINE_MAX = 100


def test_types(package: Path) -> None:
    run(["node_modules/.bin/tsc", "--noEmit", "--strict"], package)
    run(["node_modules/.bin/tsc", "--noEmit", "-p", "tsconfig.build.json"], package)


def test_units(package: Path) -> None:
    tests = sorted(str(path) for path in (package / "build" / "test").glob("*.test.js"))
    environ = {"TICKGATE_GOLDEN": str(package / "golden.json")}
    done = run(["node", "--test", "--test-reporter=tap", *tests], package, environ)
    found = {name: int(count) for name, count in re.findall(r"# (\w+) (\d+)\n", done.stdout)}
    assert found["pass"] == found["tests"] > 60, done.stdout
    assert found["skipped"] == found["fail"] == 0, done.stdout


def test_what_it_needs(package: Path) -> None:
    about = json.loads((package / "package.json").read_text())
    assert "dependencies" not in about
    assert all(
        re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", one) for one in about["devDependencies"].values()
    )
    imported = {
        name
        for path in (package / "dist").glob("*.js")
        for name in re.findall(r'from "([^"]+)"', path.read_text())
    }
    assert imported
    assert all(name.startswith("./") for name in imported), "it needs nothing but the platform"
    assert not list(package.glob("package-lock.json")), "a lock file names a registry"


def test_the_bundle(package: Path) -> None:
    bundle = (package / "dist" / "tickgate.min.js").read_bytes()
    print(f"bundle: {len(bundle)} bytes, {len(gzip.compress(bundle))} compressed")
    assert len(bundle) <= BUNDLE_BYTES_MAX


def test_the_bench_prints_what_reading_costs(package: Path) -> None:
    environ = {"TICKGATE_GOLDEN": str(package / "golden.json")}
    done = run(["node", "build/bench/decode.js", "2"], package, environ)
    print(done.stdout)
    rows = re.findall(r"^(\w+) (\w+) (\S+) +([0-9]+) ns$", done.stdout, re.MULTILINE)
    assert [(kind, encoding) for kind, encoding, _, _ in rows].count(("trade", "sbe")) == 2
    assert len(rows) == 10
    assert all(int(ns) > 0 for *_, ns in rows)


def test_files_fit_a_page() -> None:
    paths = [path for room in ("src", "test", "bench") for path in (CLIENT / room).glob("*.ts")]
    assert len(paths) > 20
    for path in paths:
        lines = path.read_text().splitlines()
        assert len(lines) <= FILE_LINES_MAX, path.name
        long = [number for number, line in enumerate(lines, 1) if len(line) > LINE_MAX]
        assert not long, path.name


@pytest.mark.parametrize(
    "kind",
    [
        events.Conflation, events.Disconnected, events.Error, events.FeedHealth, events.Gap,
        events.Health, events.Hello, events.Instrument, events.Malformed, events.Reply,
        events.Report, events.Result, events.Retired, events.Slo, events.Slow, events.System,
    ],
    ids=lambda kind: kind.__name__,
)  # fmt: skip
def test_members_have_the_names_of_the_python_client(kind: type[msgspec.Struct]) -> None:
    name = {"Error": "ServerError", "Instrument": "Listed"}.get(kind.__name__, kind.__name__)
    text = (CLIENT / "src" / "events.ts").read_text()
    (body,) = re.findall(rf"^export interface {name} {{\n(.*?)^}}", text, re.DOTALL | re.MULTILINE)
    ours = set(re.findall(r"^  readonly (\w+):", body, re.MULTILINE))
    theirs = {field.name.rstrip("_") for field in msgspec.structs.fields(kind)}
    # What only the ops listener answers has no method here.
    assert theirs - ours == ({"points"} if kind is events.Reply else set())
