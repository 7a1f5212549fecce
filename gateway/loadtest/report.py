"""One page that says what a load test found: the verdict in words, tables, charts, how to read it.

The page holds all that it needs, plotly.js included, and asks no other host for anything; its
content security policy says so to the browser. What comes from the result is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from importlib import resources

import msgspec
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from gateway.loadtest import units
from gateway.loadtest.charts import charts
from gateway.loadtest.result import Result
from gateway.loadtest.summary import distributions, facts, loads, number, refusals, share
from gateway.loadtest.thresholds import verdict_line

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"

_CHARTS = (
    (
        "percentiles",
        "How old the deliveries were",
        "Further right is rarer: at 99.9 % one delivery of a thousand was older. Triangles are"
        " thresholds; a curve must pass below them.",
    ),
    (
        "distributions",
        "Where the time went",
        "From the median to the longest. Percentiles of parts do not add up to that of the whole.",
    ),
    ("latency", "Age over time", "Of what arrived in each second."),
    ("deliveries", "Deliveries a second", ""),
    ("losses", "Gaps and conflated records a second", ""),
    ("server", "CPUs that the server used", ""),
)

_READING = (
    (
        "age",
        "From the moment a tick was due to the moment a client had it. A source that is late, or a"
        " client that is, makes it longer: nothing that was slow is left out of it.",
    ),
    (
        "age at the kernel; client's own",
        "The same to when the client's kernel had the bytes, and the rest: what the load test"
        " itself added. Where the rest decides a threshold, the run is not valid.",
    ),
    (
        "wire, server, delivery",
        "The tick's stamp to the gateway; the gateway's receive to its send; its send to the"
        " client.",
    ),
    ("skew", "From the first to the last client that got the same tick, of a sample of ticks."),
    (
        "source late",
        "How late the ticks were sent. The source keeps to its schedule and waits for nobody.",
    ),
    (
        "reach, gaps, conflated",
        "The share of what should have been delivered that was; records that were missing without"
        " a word; records that the gateway skipped and told so. Percentiles without these say"
        " little: who delivers less is faster.",
    ),
    (
        "a delivery's CPU, the floor",
        "CPU of all the server's processes / deliveries; and that of a bare loop of send().",
    ),
    (
        "not valid",
        "The load test's own part had no time to spare, or decided a threshold. Such figures are"
        " not the server's; give the clients more cores, or spread them over more processes.",
    ),
)


def report(result: Result) -> str:
    """The page of a judged result, as HTML."""
    verdict, _, reasons = verdict_line(result).partition(":")
    drawn = charts(result)
    data = msgspec.json.encode(drawn).decode().replace("<", "\\u003c")
    window = f"{result.duration_s:g} s from {result.started}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escaped(verdict)}: {_escaped(result.name)}</title>\n"
        f"<style>\n{_static('report.css')}</style>\n</head>\n"
        f'<body class="{_escaped(result.verdict)}">\n<header>\n'
        f"<h1><b>{_escaped(verdict)}</b>:{_escaped(reasons)}</h1>\n"
        f"<p>{_escaped(f'{result.name}: {result.url}, {window}')}</p>\n</header>\n"
        f"{''.join(_sections(result, [chart['id'] for chart in drawn]))}"
        f"<script>{_plotly()}</script>\n"
        f'<script type="application/json" id="charts">{data}</script>\n'
        f"<script>\n{_static('report.js')}</script>\n</body>\n</html>\n"
    )


def _sections(result: Result, drawn: Sequence[str]) -> Iterable[str]:
    if result.thresholds:
        yield _section("Thresholds", _thresholds(result))
    yield '<div class="columns">\n'
    yield _section("What was delivered", _words(facts(result)))
    yield _section("What it took", _words(loads(result)))
    yield "</div>\n"
    yield "<noscript><p>The charts need JavaScript; the tables have the figures.</p></noscript>\n"
    small = False
    for place, title, caption in _CHARTS:
        if place not in drawn:
            continue
        if place in ("deliveries", "losses", "server") and not small:
            small = True
            yield '<div class="columns">\n'
        yield _section(title, _figure(place, caption, small))
        if place == "distributions":
            yield _latencies(result)
    if small:
        yield "</div>\n"
    if result.groups:
        yield _section("Groups of clients", _groups(result))
    if result.refusals:
        headings = ("refused", "code", "count", "message")
        yield _section("What the server refused", _figures(headings, refusals(result)))
    yield '<div class="columns">\n'
    yield _section("Machine and versions", _words(_environment(result)))
    yield _section("How to read it", _reading())
    yield "</div>\n"
    if result.scenario:
        text = msgspec.json.format(msgspec.json.encode(result.scenario), indent=2).decode()
        yield _section("Scenario", f"<pre>{_escaped(text)}</pre>\n")


def _thresholds(result: Result) -> str:
    rows = "".join(
        f'<tr><td class="{"good" if each.ok else "bad"}">{"✓" if each.ok else "✗"}'
        f"&nbsp; {_escaped(each.expression)}</td><td>{_escaped(each.shown)}</td></tr>\n"
        for each in result.thresholds
    )
    return f'<table class="figures">\n{rows}</table>\n'


def _latencies(result: Result) -> str:
    headings = ("", "p50", "p90", "p99", "p99.9", "max", "mean", "count")
    rows = []
    for name, each in distributions(result):
        values = (each.p50_us, each.p90_us, each.p99_us, each.p999_us, each.max_us, each.mean_us)
        rows.append((name, *units.durations(values, each.p99_us), number(each.count)))
    return _figures(headings, rows)


def _groups(result: Result) -> str:
    headings = ("", "clients", "delivered", "reach", "gaps", "conflated", "again", "closed")
    rows = []
    for name, group in result.groups.items():
        age = group.latency
        values = (age.p50_us, age.p99_us, age.max_us) if age is not None and age.count else ()
        counts = (group.gaps, group.conflated, group.reconnects, group.closed)
        rows.append(
            (
                name if group.measured else f"{name} (load only)",
                number(group.clients),
                number(group.delivered),
                share(group.reach),
                *map(number, counts),
                *(units.durations(values, values[1]) if values else ("-",) * 3),
            )
        )
    return _figures((*headings, "p50", "p99", "max"), rows)


def _environment(result: Result) -> list[tuple[str, str]]:
    machine = result.environment
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    rows = [
        ("CPU", f"{machine.cpu}, {machine.cores} to use"),
        ("system", f"{machine.os}, {machine.kernel}"),
        ("load before", f"{machine.machine_load:g}"),
        ("governor", machine.governor),
        ("clock source", machine.clocksource),
        ("tickgate", " ".join(filter(None, (machine.tickgate, machine.commit)))),
        ("Python", machine.python),
        ("libraries", libraries),
    ]
    return [(name, words) for name, words in rows if words]


def _reading() -> str:
    items = (f"<dt>{_escaped(name)}</dt><dd>{_escaped(words)}</dd>\n" for name, words in _READING)
    return f"<dl>\n{''.join(items)}</dl>\n"


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{_escaped(title)}</h2>\n{content}</section>\n"


def _figure(place: str, caption: str, small: bool) -> str:
    text = f"<figcaption>{_escaped(caption)}</figcaption>" if caption else ""
    kind = "chart low" if small else "chart"
    return f'<figure><div class="{kind}" id="{place}"></div>{text}</figure>\n'


def _words(rows: Iterable[tuple[str, str]]) -> str:
    cells = (
        f"<tr><td>{_escaped(name)}</td><td>{_escaped(text)}</td></tr>\n" for name, text in rows
    )
    return f'<table class="words">\n{"".join(cells)}</table>\n'


def _figures(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{_escaped(each)}</th>" for each in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    return f'<div class="wide"><table class="figures">\n<tr>{head}</tr>\n{body}</table></div>\n'


def _plotly() -> str:
    script: str = get_plotlyjs()
    return script.replace("</script", "<\\/script")  # the same to JavaScript, and no end to HTML


def _static(name: str) -> str:
    return (resources.files("gateway.loadtest") / "static" / name).read_text(encoding="utf-8")


def _escaped(text: str) -> str:
    return html.escape(text)
