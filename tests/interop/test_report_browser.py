"""Chromium on a load test's report: charts in both palettes, no request, no name that is obeyed."""

from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from support.results import sample_groups, sample_latency, sample_result
from support.visit import Visit

from gateway.loadtest.charts import charts
from gateway.loadtest.report import report
from gateway.loadtest.result import Result
from gateway.loadtest.thresholds import judge, parse

EXPRESSIONS = ("p99<1ms", "p999<1s", "p50<1s", "bbo.p99<1s", "reach>=99.9%")
HOSTILE = "</script><img/src=x onerror=alert(1)><!--<script>"

# The colour that a role has in the page's present palette, as the browser says colours.
COLOUR = """
role => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${role})`;
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
"""
COLOUR_OF = "([path, name]) => getComputedStyle(document.querySelector(path))[name]"


def judged(**changed: Any) -> Result:
    return judge(sample_result(**changed), [parse(each) for each in EXPRESSIONS])


def opened(visit: Visit, directory: Path, result: Result) -> list[str]:
    """Opens the report of a result; the ids of the charts that it should have."""
    path = directory / "report.html"
    path.write_text(report(result), encoding="utf-8")
    visit.page.goto(path.as_uri())
    return [chart["id"] for chart in charts(result)]


def check(visit: Visit) -> None:
    """Nothing was wrong, and nothing but the page itself was asked for."""
    visit.check(None)
    assert visit.urls == [visit.page.url]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_charts_are_drawn(
    visit: Visit, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    page = visit.page
    page.emulate_media(color_scheme=scheme)
    ids = opened(visit, tmp_path, judged())
    assert len(ids) == 6
    for each in ids:
        visit.until(f"document.querySelectorAll('#{each} svg .overplot .trace path').length > 0")
    assert page.locator("#percentiles .lines path.js-line").count() == 2
    assert page.locator("#percentiles .points path").count() == 3  # of whole-run percentiles
    assert page.locator("#latency .lines path.js-line").count() == 3
    assert page.locator("#losses .bars .point path").count() > 0
    assert page.locator("#losses .bars text").count() == 0  # words are for who points at a bar
    dark_back = "rgb(19, 20, 23)"
    back = page.evaluate(COLOUR_OF, ["body", "backgroundColor"])
    assert (back == dark_back) == (scheme == "dark")
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    check(visit)


def test_the_charts_follow_the_palette(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.emulate_media(color_scheme="light")
    opened(visit, tmp_path, judged())
    line, text = "#latency .lines path.js-line", "#latency .xtick text"
    seen = []
    for scheme in ("light", "dark", "light"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        one, soft = page.evaluate(COLOUR, "one"), page.evaluate(COLOUR, "soft")
        visit.until(f"getComputedStyle(document.querySelector('{line}')).stroke === '{one}'")
        assert page.evaluate(COLOUR_OF, [text, "fill"]) == soft
        seen.append((one, soft))
    assert seen[0] == seen[2] != seen[1]
    check(visit)


def test_hostile_names_are_shown_and_not_obeyed(visit: Visit, tmp_path: Path) -> None:
    run = judged(
        name=HOSTILE,
        url=HOSTILE,
        groups={HOSTILE: sample_groups()["trade"]},
        stages={HOSTILE: sample_latency(9)},
        scenario={HOSTILE: HOSTILE},
    )
    odd = [msgspec.structs.replace(each, expression=HOSTILE) for each in run.thresholds]
    ids = opened(visit, tmp_path, msgspec.structs.replace(run, thresholds=odd))
    for each in ids:
        visit.until(f"document.querySelectorAll('#{each} svg .overplot .trace path').length > 0")
    page = visit.page
    assert page.locator("img").count() == 0
    assert page.evaluate("document.body.innerText").count(HOSTILE) >= 10
    labels = page.locator("#distributions .ytick text").all_text_contents()
    assert HOSTILE in labels
    check(visit)


def test_a_result_of_nothing_opens(visit: Visit, tmp_path: Path) -> None:
    none = msgspec.structs.replace(sample_latency(9), count=0)
    run = sample_result(latency=none, arrival=None, own=None, skew=None, source=None, stages={})
    empty = msgspec.structs.replace(run, histogram="", histograms={}, timeline=[], groups={})
    assert opened(visit, tmp_path, judge(empty, [])) == []
    assert "PASS" in visit.page.inner_text("h1")
    assert visit.page.locator("svg").count() == 0
    check(visit)


def test_without_javascript_the_tables_have_the_figures(visit: Visit, tmp_path: Path) -> None:
    browser = visit.page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    path = tmp_path / "report.html"
    path.write_text(report(judged()), encoding="utf-8")
    page.goto(path.as_uri())
    assert "The charts need JavaScript" in page.inner_text("body")
    assert "age at the kernel" in page.inner_text("body")
    context.close()
