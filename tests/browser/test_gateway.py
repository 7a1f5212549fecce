"""The dashboard on a real gateway: true figures, a restart survived, nobody else asked."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.prefix import below
from support.serving import Serving, serving
from support.stage import Stage
from support.udp import Venue
from support.visit import Visit

from gateway.loadtest.ports import free_tcp_port

HOSTILE = "<img/src=x/onerror=alert(1)>"
LIVE = "document.getElementById('link').textContent === 'live'"
SHOWN = "document.getElementById('connections').value !== ''"
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.fixture
def venue() -> Iterator[Venue]:
    """A venue called SIM."""
    with Venue() as one:
        yield one


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Where the test's gateway runs."""
    with Stage(tmp_path / "log") as one:
        yield one


def drawn(chart: str) -> str:
    """The JavaScript for whether a chart has points."""
    return f"Number(document.getElementById('{chart}-chart').dataset.points) > 0"


def figure(name: str) -> str:
    """The JavaScript for a figure's value."""
    return f"Number(document.getElementById('{name}').value)"


def test_true_figures(stage: Stage, venue: Venue, visit: Visit) -> None:
    gateway = stage.serve(*venue.sets)
    clients = [stage.connect() for _ in range(3)]
    page = visit.page
    with venue.ticking("A", "B"):
        for client in clients:
            client.subscribe("trade", "A.SIM", "B.SIM")
        began = time.monotonic()
        answer = page.goto(gateway.ops)
        visit.until(SHOWN)
        print(f"\nfirst figures after {time.monotonic() - began:.2f} s")
        assert answer is not None
        assert answer.headers["content-security-policy"] == POLICY
        visit.until(
            f"{figure('published')} > 0 && {figure('delivered')} > 0 && {figure('reached')} > 0"
        )
        for chart in ("latency", "percentiles"):
            page.evaluate(f"document.getElementById('{chart}').scrollIntoView()")
            visit.until(drawn(chart))
        visit.until(f"{figure('connections')} === 3")
        agree(gateway, visit)
    visit.check()


def test_below_a_path_of_a_site(stage: Stage, venue: Venue, visit: Visit) -> None:
    gateway = stage.serve(*venue.sets)
    client = stage.connect()
    with venue.ticking("A"), below("/markets/tickgate/", gateway.ops + "/") as url:
        client.subscribe("trade", "A.SIM")
        visit.page.goto(url)
        visit.until(LIVE)
        visit.page.evaluate("document.getElementById('latency-chart').scrollIntoView()")
        visit.until(drawn("latency"))
        assert visit.urls
        assert all("/markets/tickgate/" in one for one in visit.urls), visit.urls
        assert any(one.startswith("ws://") and one.endswith("/v1") for one in visit.urls)
        links = visit.page.evaluate("[...document.querySelectorAll('footer a')].map(a => a.href)")
        assert links == [url + name for name in ("metrics", "statusz", "readyz")]
    visit.check()


def agree(gateway: Serving, visit: Visit) -> None:
    """Waits until what the page shows is what /statusz says, which may change in between.

    Raises:
        AssertionError: it never is.
    """
    shown: Any = None
    for _ in range(100):
        before = gateway.status()
        shown = visit.page.evaluate(
            f"[{figure('connections')}, {figure('subscriptions')}, {figure('reached')}]"
        )
        after = gateway.status()
        said = [
            [one["counters"]["connections"], one["counters"]["subscriptions"], one["slo"]["p99_us"]]
            for one in (before, after)
        ]
        if shown in said:
            return
        visit.page.wait_for_timeout(200)
    raise AssertionError((shown, said))


def test_a_restart_is_seen_and_survived(venue: Venue, visit: Visit, tmp_path: Path) -> None:
    fixed = f"ops.port={free_tcp_port()}"
    page = visit.page
    with serving(tmp_path / "log", fixed, *venue.sets) as gateway:
        page.goto(gateway.ops)
        visit.until(LIVE)
        page.evaluate("document.getElementById('latency-chart').scrollIntoView()")
        visit.until("document.getElementById('latency-chart').dataset.points !== undefined")
        epoch = page.text_content("#epoch")
    visit.until("document.body.classList.contains('stale')")
    assert "figures are" in (page.text_content("#link") or "")
    assert page.title().startswith("stale")
    with serving(tmp_path / "log2", fixed, *venue.sets):
        visit.until(LIVE)
        visit.until(f"document.getElementById('epoch').textContent !== '{epoch}'")
        visit.until("!document.body.classList.contains('stale')")
        assert not page.title().startswith("stale")
    # What was refused while nobody listened is no fault of the page.
    visit.wrong = [said for said in visit.wrong if "WebSocket connection" not in said]
    visit.check()


def test_f63_names_from_the_wire_stay_text(stage: Stage, venue: Venue, visit: Visit) -> None:
    gateway = stage.serve(*venue.sets)
    client = stage.connect()
    client.subscribe("trade", f"{HOSTILE}.SIM")
    with venue.ticking(HOSTILE):
        visit.page.goto(f"{gateway.ops}#panel={HOSTILE}")
        visit.until(f"{figure('delivered')} > 0")
    assert visit.page.locator("img").count() == 0
    visit.check()
