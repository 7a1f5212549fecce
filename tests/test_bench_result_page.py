"""docs/bench-result.md has every field of a result, and every threshold that may be asked for."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from support.bench_result_page import MARK, PAGE, places, render
from support.results import sample_result

from gateway.loadtest.result import LimitResult, Result, ThresholdResult, Trial
from gateway.loadtest.thresholds import FIGURES, parse

BY_HAND, _, GENERATED = PAGE.read_text().partition(MARK)
EXAMPLES = re.split(r"\s{2,}|\n", BY_HAND.split("```\n")[1].strip())
WORDS = set(re.findall(r"`([^`\n]+)`", BY_HAND))


def test_the_page_is_what_the_fields_say() -> None:
    assert PAGE.read_text() == render(), "run tests/support/bench_result_page.py"


def test_every_field_of_a_result_is_there() -> None:
    """Held against JSON, not against the types that the page is made from."""
    limit = LimitResult(
        passed=1, failed=2, invalid=None, trials=[Trial(rate=1, verdict="pass")], shown=""
    )
    whole = msgspec.structs.replace(
        sample_result(),
        limit=limit,
        thresholds=[ThresholdResult(expression="gaps==0", value=0, ok=True)],
    )
    rows = set(re.findall(r"^\| `([^`]+)` \|", GENERATED, re.MULTILINE))
    several = [place for where in places().values() if len(where) > 1 for place in where]
    missing = set()
    for path in paths(msgspec.json.decode(whole.to_json())):
        alone = next((path[len(place) + 1 :] for place in several if _in(path, place)), path)
        if alone not in rows:
            missing.add(path)
    assert not missing


def _in(path: str, place: str) -> bool:
    return path.startswith(f"{place}.") and "." not in path[len(place) + 1 :]


def paths(value: Any, place: str = "") -> Iterator[str]:
    """Of every field in it, in the page's way."""
    names_are_data = {"groups", "stages", "histograms", "libraries"}
    for name, inner in value.items():
        if place.rpartition(".")[2] in names_are_data:
            path = f"{place}.NAME"
        else:
            path = f"{place}.{name}" if place else name
            yield path
        if isinstance(inner, dict) and name not in {"scenario", "libraries", "histograms"}:
            yield from paths(inner, path)
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            yield from paths(inner[0], f"{path}[]")


def test_units_are_those_in_the_names() -> None:
    units = dict(re.findall(r"^\| `(?:[^`]*\.)?(\w+)` \| [^|]+ \| ?([^|]*?) ?\|", GENERATED, re.M))
    assert (units["p99_us"], units["offset_ns"], units["open_s"]) == ("µs", "ns", "s")
    assert (units["rss_mb"], units["achieved_per_s"], units["reach"]) == ("MB", "1/s", "0 to 1")
    assert units["name"] == ""
    assert all(unit for name, unit in units.items() if re.search(r"_(us|ns|s|mb)(_|$)", name))


@pytest.mark.parametrize("expression", EXAMPLES)
def test_the_examples_are_understood(expression: str) -> None:
    assert parse(expression, ["readers", "eu.west"])


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 9


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_is_told(figure: str) -> None:
    series, _, statistic = figure.rpartition("_")
    assert figure in WORDS or {f"{series}_", statistic} <= WORDS


def test_the_whole_stands_first() -> None:
    assert next(iter(places().items())) == (Result, [""])
