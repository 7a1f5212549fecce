"""Pictures of the dashboard for people to look at, and what a program can see of a layout."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser
from support.ops_stand_in import OpsStandIn, burning, idle, quiet
from support.visit import Visit

Scheme = Literal["dark", "light"]
CHARTS = (
    *("latency", "percentiles", "heat", "load", "classes"),
    *("conflation", "drops", "steps", "joined"),
)
WIDE, NARROW = (1280, 900), (390, 844)
PICTURES = (
    *((burning, scheme, size) for scheme in ("dark", "light") for size in (WIDE, NARROW)),
    (quiet, "light", WIDE),
    (idle, "dark", WIDE),
)

WIDER_THAN_THE_PAGE = """
() => [...document.querySelectorAll("body *")]
  .filter(one => one.offsetParent && !one.closest(".wide, nav, .unseen, .skip, .js-plotly-plot"))
  .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(one => one.id || one.tagName)
"""
"""Elements that stick out at the right, but for what has a scroll bar of its own."""

CUT_TEXT = """
() => [...document.querySelectorAll("h1, h2, h3, p, li, dt, dd, b, button, summary, figcaption")]
  .filter(one => one.offsetParent && !one.matches(".unseen"))
  .filter(one => getComputedStyle(one).display !== "inline")
  .filter(one => one.scrollWidth > one.clientWidth + 1)
  .map(one => one.id || one.textContent)
"""


def shown(visit: Visit, charts: Iterable[str]) -> None:
    """Scrolls past each chart, so that each is drawn."""
    for chart in charts:
        visit.page.evaluate(f"document.getElementById('{chart}-chart').scrollIntoView()")
        visit.until(f"document.getElementById('{chart}-chart').dataset.points !== undefined")
    visit.page.evaluate("scrollTo(0, 0)")


@pytest.mark.parametrize(
    ("make", "scheme", "size"),
    PICTURES,
    ids=[f"{make.__name__}-{scheme}-{size[0]}" for make, scheme, size in PICTURES],
)
def test_pictures(
    browser: Browser,
    stand_in: OpsStandIn,
    artifacts: Path,
    make: Callable[[dict[str, Any]], dict[str, Any]],
    scheme: Scheme,
    size: tuple[int, int],
) -> None:
    stand_in.now = make(stand_in.now)
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        visit = Visit(context.new_page())
        visit.page.goto(f"{stand_in.url}/#range=1h")
        visit.until("document.getElementById('link').textContent === 'live'")
        name = f"{make.__name__}-{scheme}-{width}"
        shown(visit, CHARTS)
        visit.page.screenshot(path=artifacts / f"{name}-first.png")
        visit.page.screenshot(path=artifacts / f"{name}.png", full_page=True)
        assert visit.page.evaluate(WIDER_THAN_THE_PAGE) == []
        assert visit.page.evaluate(CUT_TEXT) == []
        assert visit.page.evaluate("document.documentElement.dataset.palette") == scheme
        visit.check()
    finally:
        context.close()
