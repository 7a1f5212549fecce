"""The dashboard on figures that no real gateway can be made to have: words, a day, keys, links."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.ops_stand_in import OpsStandIn, burning, controller, feed, figures, process
from support.visit import Visit

HOSTILE = "<img/src=x/onerror=alert(1)>"
POINTS_MAX = 900
"""Of a line, and of the columns of the heat map."""


def text(name: str) -> str:
    """The JavaScript for what an element says."""
    return f"document.getElementById('{name}').textContent"


def opened(visit: Visit, stand_in: OpsStandIn, fragment: str = "") -> None:
    """Goes to the dashboard and waits for its first figures and its first chart."""
    visit.page.goto(f"{stand_in.url}/{fragment}")
    visit.until(f"{text('link')}.startsWith('live')")
    visit.page.evaluate("document.getElementById('latency-chart').scrollIntoView()")
    visit.until("document.getElementById('latency-chart').dataset.points > 0")


def say(stand_in: OpsStandIn, slo: dict[str, Any] | None = None, **changed: Any) -> None:
    """From the next update on, this is different."""
    stand_in.now = stand_in.now | {"slo": stand_in.now["slo"] | (slo or {})} | changed


def test_states_are_told_in_words(stand_in: OpsStandIn, visit: Visit) -> None:
    opened(visit, stand_in)
    assert "ok for 3\u00a0h" in str(visit.page.text_content("#headline"))
    stand_in.now = burning(stand_in.now)
    visit.until(f"{text('headline')}.includes('breached for 2\u00a0min')")
    outcome = str(visit.page.text_content("#outcome"))
    assert "overspent: 2.4 times what it allows" in outcome
    assert "Class 3 (bulk) is paused" in outcome
    assert "class 2 (screens) is conflated to 20\u00a0ms" in outcome
    assert "on 1 of 2 workers" in outcome
    assert "feed udp:1 is down" in str(visit.page.text_content("#worries"))
    # A screen reader is told when the state changes, and not each second.
    assert "The objective is breached." in str(visit.page.text_content("#spoken"))
    worst = controller("worker-0", infeasible=True, audience_max=5000, fan_out_us=18_000.0)
    say(stand_in, {"state": "infeasible"}, controller=[worst])
    visit.until(f"{text('worries')}.includes('one tick to 5,000\u00a0clients takes 18.0\u00a0ms')")
    assert visit.page.text_content("#badge") == "infeasible"
    visit.check()


def test_rare_percentiles_need_a_thousand_samples(stand_in: OpsStandIn, visit: Visit) -> None:
    few = figures(410, 999) | {"p999_us": 779.0}  # even if the gateway should tell it
    say(stand_in, stages={"total": few, "ring": figures(14, 1000)})
    opened(visit, stand_in)
    rows = visit.page.evaluate(
        "[...document.getElementById('stages').rows].map(r => [...r.cells].map(c => c.textContent))"
    )
    total, ring = ({row[0]: row for row in rows}[name] for name in ("total", "ring"))
    assert (total[5], total[7]) == ("–", "999")  # noqa: RUF001
    assert (ring[5], ring[7]) == ("0.027\u00a0ms", "1,000")
    visit.check()


def test_silence_is_told_and_survived(stand_in: OpsStandIn, visit: Visit) -> None:
    opened(visit, stand_in)
    stand_in.mute = True
    visit.until(f"{text('link')}.startsWith('stale: figures are')")
    assert visit.page.evaluate("document.body.classList.contains('stale')")
    visit.until(f"{text('link')}.startsWith('disconnected')")  # it gives the socket up
    stand_in.mute = False
    visit.until(f"{text('link')} === 'live'")
    visit.until("!document.body.classList.contains('stale')")
    visit.check()


@pytest.mark.threat("E3")
def test_f63_no_name_is_obeyed(stand_in: OpsStandIn, visit: Visit) -> None:
    now = burning(stand_in.now)
    slow = now["slowest"][0] | dict.fromkeys(("connection_id", "address", "why"), HOSTILE)
    say(
        stand_in,
        feeds=[feed(HOSTILE, state="down", message=HOSTILE)],
        processes=[process(HOSTILE, state=HOSTILE)],
        controller=[controller(HOSTILE, step=1, intervals_ms=[0, 0, 0, None])],
        problems=[HOSTILE],
        slowest=[slow | {"worker": HOSTILE}],
        levels=[0, 0, 0, 1],
        history=[now["history"][0] | dict.fromkeys(("worker", "reason"), HOSTILE)],
        stalls=[now["stalls"][0] | dict.fromkeys(("process", "words", "kind"), HOSTILE)],
        channels={HOSTILE: now["channels"]["trade"]},
        stages=now["stages"] | {HOSTILE: now["stages"]["total"]},
        version=HOSTILE,
        epoch=HOSTILE,
        listen=HOSTILE,
    )
    opened(visit, stand_in, f"#panel={HOSTILE}&range={HOSTILE}")
    for place in (
        "by-feed",
        "by-process",
        "controllers",
        "slowest",
        "worries",
        "changes",
        "stalls",
    ):
        assert HOSTILE in str(visit.page.text_content(f"#{place}")), place
    for place in ("by-channel", "stages", "version", "epoch", "listen"):
        assert HOSTILE in str(visit.page.text_content(f"#{place}")), place
    assert visit.page.locator("img, [onerror]").count() == 0
    visit.check()


LONG_TASKS = """
new PerformanceObserver(list => {
  for (const { duration } of list.getEntries()) {
    window.longest = Math.max(window.longest ?? 0, duration);
  }
}).observe({ type: "longtask", buffered: true });
"""
DRAWN = """
[...document.querySelectorAll(".js-plotly-plot")].map(place =>
  [place.id, ...place.data.map(trace => trace.z ? trace.z[0].length : trace.x.length)])
"""


def test_a_day_is_drawn_with_few_points(stand_in: OpsStandIn, visit: Visit) -> None:
    visit.page.add_init_script(LONG_TASKS)
    opened(visit, stand_in, "#range=24h")
    for chart in ("heat", "classes", "conflation", "drops", "steps", "joined"):
        visit.page.evaluate(f"document.getElementById('{chart}-chart').scrollIntoView()")
        visit.until(f"document.getElementById('{chart}-chart').dataset.points > 0")
    drawn = visit.page.evaluate(DRAWN)
    assert len(drawn) >= 8
    for name, *traces in drawn:
        assert max(traces, default=0) <= POINTS_MAX + 100, name  # holes take places too
    asked = [one["params"] for one in stand_in.requests if one["method"] == "history"]
    assert asked
    assert all(one["points"] == POINTS_MAX for one in asked)
    assert visit.page.text_content("#drops-words") != "Nothing was dropped."
    print(f"\nlongest task with a day shown: {visit.page.evaluate('window.longest ?? 0'):.0f} ms")
    visit.check()


NAMELESS = """
() => [...document.querySelectorAll("a, button, input, summary, [role=img]")]
  .filter(one => !(one.textContent.trim() || one.getAttribute("aria-label")
    || one.getAttribute("aria-labelledby") || one.labels?.[0]?.textContent.trim()))
  .map(one => one.outerHTML)
"""
FOCUSED = "document.activeElement.id || document.activeElement.value || document.activeElement.name"


def test_all_is_reached_by_keys_and_has_a_name(stand_in: OpsStandIn, visit: Visit) -> None:
    opened(visit, stand_in)
    page = visit.page
    assert page.evaluate(NAMELESS) == []
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
        if reached[-1] == "15m":
            page.keyboard.press("ArrowRight")
    assert {"15m", "freeze", "palette"} <= set(reached)
    visit.until("location.hash.includes('range=1h')")
    before = page.evaluate("document.documentElement.dataset.palette")
    page.focus("#palette")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.palette") != before
    page.focus("#heat .enlarge")
    page.keyboard.press("Enter")
    assert page.evaluate("document.getElementById('heat').classList.contains('chosen')")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('heat').classList.contains('chosen')")
    visit.check()


def test_a_link_keeps_what_is_looked_at(stand_in: OpsStandIn, visit: Visit) -> None:
    opened(visit, stand_in, "#range=6h")
    page = visit.page
    page.click("#freeze")
    page.click("#percentiles .enlarge")
    link = page.evaluate("location.href")
    other = Visit(page.context.new_page())
    other.page.goto(link)
    other.until(f"{text('link')} === 'live; charts are frozen'")
    other.until("document.getElementById('percentiles-chart').dataset.points > 0")
    assert other.page.evaluate("location.href") == link
    assert other.page.get_attribute("#freeze", "aria-pressed") == "true"
    assert other.page.evaluate("document.getElementById('percentiles').className") == "chosen"
    two = [one["params"] for one in stand_in.requests if one.get("params", {}).get("to")]
    assert len(two) >= 2
    assert {(one["from"], one["to"]) for one in two} == {(two[0]["from"], two[0]["to"])}
    assert two[0]["to"] - two[0]["from"] == 6 * 3600 * 10**9
    other.page.click("#freeze")
    other.until(f"{text('link')} === 'live'")
    visit.check()
    other.check()


def test_a_piece_of_a_chart_is_zoomed_into(stand_in: OpsStandIn, visit: Visit) -> None:
    opened(visit, stand_in, "#range=1h")
    page = visit.page
    box = page.locator("#latency-chart .nsewdrag").first.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=5)
    page.mouse.up()
    visit.until("location.hash.includes('from=')")
    span_ms = page.evaluate(
        "(f => f.get('to') - f.get('from'))(new URLSearchParams(location.hash.slice(1)))"
    )
    assert span_ms == pytest.approx(900_000, rel=0.05)
    visit.check()


MEASURE = """
id => {
  const box = one => {
    const { x, y, width, height } = one.getBoundingClientRect();
    return { x, y, width, height };
  };
  const place = document.getElementById(`${id}-chart`);
  return {
    card: box(document.getElementById(id)), place: box(place),
    plots: [...place.querySelectorAll(".main-svg")].map(box),
    field: box(place.querySelector(".nsewdrag")),
  };
}
"""
"""The boxes of a chart: its card, its place in it, the drawings, and the field between the axes."""
APART_PX = 1
FRAME_PX = 40
"""Padding and border of a card, both sides."""
CAPTION_PX = 60


def fills(measured: dict[str, Any]) -> bool:
    """Whether the drawings are as large as their place, and that as its card allows."""
    card, place, field = (measured[name] for name in ("card", "place", "field"))
    same = all(
        abs(plot[side] - place[side]) <= APART_PX
        for plot in measured["plots"]
        for side in ("x", "y", "width", "height")
    )
    wide = place["width"] >= card["width"] - FRAME_PX and field["width"] >= 0.75 * place["width"]
    high = place["height"] >= card["height"] - CAPTION_PX - FRAME_PX
    return bool(same and wide and high and field["height"] >= 0.5 * place["height"])


def filled(visit: Visit, chart: str) -> dict[str, Any]:
    """Waits until the chart fills its card; its boxes then.

    Raises:
        AssertionError: it never does.
    """
    measured: dict[str, Any] = {}
    for _ in range(250):
        measured = visit.page.evaluate(MEASURE, chart)
        if measured["plots"] and fills(measured):
            return measured
        visit.page.wait_for_timeout(20)
    raise AssertionError(chart, measured)


def test_every_chart_fills_its_card_whatever_size_it_has(
    stand_in: OpsStandIn, visit: Visit
) -> None:
    opened(visit, stand_in, "#range=1h")
    for chart in ("latency", "percentiles", "heat", "drops", "steps"):
        check_sizes(visit, chart)
    visit.check()


def check_sizes(visit: Visit, chart: str) -> None:
    page = visit.page
    show = f"document.getElementById('{chart}-chart').scrollIntoView()"
    page.evaluate(show)
    visit.until(f"document.getElementById('{chart}-chart').dataset.points > 0")
    before = filled(visit, chart)
    page.click(f"#{chart} .enlarge")
    large = filled(visit, chart)
    assert large["card"]["height"] > before["card"]["height"] + 200
    assert large["field"]["height"] > before["field"]["height"] + 200
    page.click(f"#{chart} .enlarge")
    after = filled(visit, chart)
    for side in ("width", "height"):
        assert after["card"][side] == pytest.approx(before["card"][side], abs=APART_PX)
        assert after["field"][side] == pytest.approx(before["field"][side], abs=12)
    page.set_viewport_size({"width": 800, "height": 700})
    page.evaluate(show)  # what is far out of sight is not drawn
    narrow = filled(visit, chart)
    assert narrow["card"]["width"] < 800
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate(show)
    wide = filled(visit, chart)
    assert wide["place"]["width"] == pytest.approx(before["place"]["width"], abs=APART_PX)


def test_a_young_gateway_s_charts_begin_at_its_start(stand_in: OpsStandIn, visit: Visit) -> None:
    say(stand_in, uptime_s=45.0)
    opened(visit, stand_in)
    visit.until(f"{text('since')} === 'since the start, 45\u00a0s ago'")
    visit.until("document.getElementById('latency-chart').layout.xaxis.range !== undefined")
    shown_ms = visit.page.evaluate(
        "(([from, to]) => to - from)"
        "(document.getElementById('latency-chart').layout.xaxis.range.map(Number))"
    )
    assert shown_ms == pytest.approx(45_000, abs=3000)
    asked = [one["params"] for one in stand_in.requests if one["method"] == "history"]
    assert asked
    visit.check()


def test_no_exchange_is_blamed_for_a_made_up_feed(stand_in: OpsStandIn, visit: Visit) -> None:
    late = stand_in.now["stages"] | {"wire": figures(75_400, 2000)}
    say(stand_in, stages=late, feeds=[feed("synthetic:SIM", type="synthetic")])
    opened(visit, stand_in)
    assert visit.page.text_content("#origin-name") == "The made-up feed"
    assert "this host was busy" in str(visit.page.text_content("#answer"))
    assert visit.page.locator(".guilty").count() == 0
    assert "exchange" not in str(visit.page.text_content("main"))
    visit.check()


def test_downloads(stand_in: OpsStandIn, visit: Visit, tmp_path: Path) -> None:
    opened(visit, stand_in)
    for name in ("json", "hgrm"):
        visit.page.click("#files summary")
        with visit.page.expect_download() as download:
            visit.page.click(f"#{name}")
        assert download.value.suggested_filename.endswith(f"Z.{name}")
        download.value.save_as(tmp_path / name)
    document = json.loads((tmp_path / "json").read_text())
    assert document["now"]["connections"] == 912
    assert len(document["points"]) > 100
    assert document["merged"]["count"] == sum(one["count"] for one in document["points"][:900])
    assert float((tmp_path / "hgrm").read_text().split()[0]) > 0
    visit.check()
