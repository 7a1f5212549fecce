"""One block for each thing to be seen: a heading, rows, and how few of them still say something.

Pure: from `Now` to text. `screen.py` decides how many rows of each are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.text import Text

from gateway.top import words
from gateway.top.now import CLASSES, LEVELS, Controller, Feed, Latency, Now, Point, Transition
from gateway.top.words import safe

TRAIL_S: Final = 300
"""How far back the bars go."""

APART: Final = "percentiles of stages do not add up: the slowest of each are of other ticks"

Cell = str | Text


@dataclass(frozen=True)
class Block:
    """A table, or plain lines where it has no heads.

    Attributes:
        heads: of the columns; one that begins with `<` is flush left, others right.
        rows: most important first.
        least: how many of them are shown before any block gets more.
        note: a line below, where there is room for it when all rows are shown.
    """

    rows: Sequence[Sequence[Cell]]
    heads: Sequence[str] = ()
    least: int = field(default=1)
    note: str = ""

    def lines(self, rows: int) -> int:
        """How high it is with so many rows."""
        return rows + bool(self.heads) if rows else 0


# --- in words, first ------------------------------------------------------------------------------


def summary(now: Now) -> Block:
    """Who it is, whether the objective holds, what is left of the budget, what is done about it."""
    who = Text.assemble("tickgate ", safe(now.version))
    ready = ("ready", "green") if now.ready else ("NOT READY", "bold red")
    who.append("  ").append(*ready)
    who.append(f"  up {words.span(now.uptime_s)}  epoch ").append(safe(now.epoch))
    who.append("  ").append(safe(now.listen))
    rows = [who, *(safe(f"not ready: {problem}", "red") for problem in now.problems)]
    rows += [_state(now), *_infeasible(now), _budget(now), _action(now)]
    for feed in now.feeds:
        if not _flows(feed):
            rows.append(safe(f"feed {feed.name} is {feed.state}: {feed.message}", "red"))
    return Block([[row] for row in rows], least=len(rows))


def _state(now: Now) -> Text:
    slo, target = now.slo, words.latency(now.slo.target_us, now.slo.target_us)
    if not slo.count and slo.state == "ok":
        idle = f"  nothing delivered in the last {words.span(slo.window_s)}"
        return Text.assemble(("IDLE", "bold"), idle, f"; target {target} for p{slo.percentile:g}")
    text = words.state(slo.state, str.upper)
    reached = {50: slo.p50_us, 99: slo.p99_us, 99.9: slo.p999_us}.get(slo.percentile)
    text.append(f"  p{slo.percentile:g} {words.latency(reached, slo.target_us)}, target {target}")
    text.append(f", for {words.span((now.ts - slo.since) / 1e9)}" if slo.since else "")
    return text.append(f"; {words.number(slo.bad)} of {words.number(slo.count)} late or lost")


def _infeasible(now: Now) -> list[Text]:
    """What no controller can mend: one record to all of a topic's subscribers takes too long."""
    widest = max(now.controller, key=lambda one: one.fan_out_us or 0, default=Controller())
    if now.slo.state != "infeasible" and not widest.infeasible:
        return []
    audience = words.number(widest.audience_max)
    took = words.latency(widest.fan_out_us, now.slo.target_us)
    return [Text(f"infeasible: one record to {audience} subscribers takes {took}", "magenta")]


def _budget(now: Now) -> Text:
    slo = now.slo
    left = slo.budget_remaining
    style = "" if left > 0.5 else "yellow" if left > 0 else "bold red"
    text = Text()
    text.append("budget ")
    if left >= 0:
        text.append(f"{left * 100:.1f} %", style=style).append(" left")
    else:
        text.append(f"spent {1 - left:.3g} times", style=style)
    burning = [safe(alert.windows) for alert in slo.alerts if alert.burning]
    if burning:
        text.append("  ").append(
            Text.assemble("BURNING ", Text(" ").join(burning), style="bold red")
        )
    if slo.burn:
        text.append("  burn")
    for window, rate in slo.burn.items():
        text.append(" ").append(safe(window)).append(f" {rate:.3g}x")
    return text


def _action(now: Now) -> Text:
    slo = now.slo
    text = Text()
    text.append("enforced: " if slo.enforce else "only observed: ")
    slowed = []
    for number, name in enumerate(CLASSES):
        interval = _interval(now, number)
        if interval != 0:
            slowed.append(f"class {number} ({name}) {words.interval(interval)}")
    text.append(", ".join(slowed) or "every class is live", style="yellow" if slowed else "")
    waits = [one.overload_s for one in now.controller if one.overload_s is not None]
    text.append(f"; overloaded for {words.span(max(waits))}" if waits else "")
    return text


def _interval(now: Now, number: int) -> float | None:
    """Of the worker that holds the class back most."""
    found = [one.intervals_ms[number] for one in now.controller if number < len(one.intervals_ms)]
    return None if None in found else max((ms for ms in found if ms is not None), default=0)


# --- latency --------------------------------------------------------------------------------------


def figures(now: Now) -> Block:
    """The percentiles of the objective's window, and what flows."""
    slo, point = now.slo, now.point
    most_us = slo.max_us if slo.count else None
    p50, p99, p999, most = (
        words.latency(us, slo.target_us) for us in (slo.p50_us, slo.p99_us, slo.p999_us, most_us)
    )
    rows = [
        Text(
            f"p50 {p50}  p99 {p99}  p99.9 {p999}  max {most}"
            f"  of {words.number(slo.count)} in {words.span(slo.window_s)}"
        )
    ]
    if point is not None:
        span_s = point.span_s or 1
        told = ("published", "delivered", "conflated", "dropped")
        rates = (f"{name} {words.rate(getattr(point, name) / span_s)}" for name in told)
        rows.append(Text("  ".join(rates)))
    return Block([[row] for row in rows], least=1)


def trail(points: Sequence[Point], now: Now, width: int) -> Block:
    """The last minutes' p99, a bar for some seconds: the worst of them, as no mean is a p99."""
    label = "p99 "
    per_bar_s = -(-TRAIL_S // max(width - len(label), 1))
    size = -(-TRAIL_S // per_bar_s)
    worst: list[float | None] = [None] * size
    for point in points:
        index = size - 1 - int((now.ts - point.ts) / 1e9 / per_bar_s)
        if 0 <= index < size and point.p99_us is not None:
            worst[index] = max(worst[index] or 0, point.p99_us)
    bars = Text(label).append(words.bars(worst, now.slo.target_us or 1))
    what = f"    last {words.span(TRAIL_S)}, a bar is the worst second of {per_bar_s}"
    return Block([[bars], [Text(f"{what}; above half: over the target", "dim")]], least=1)


def stages(now: Now) -> Block:
    """Where the time goes."""
    target_us = now.slo.target_us
    rows = [[safe(name), *_latency(one, target_us)] for name, one in now.stages.items()]
    heads = ("<stage", "p50", "p99", "p99.9", "max", "samples")
    return Block(rows, heads, least=len(rows), note=APART)


def _latency(one: Latency, target_us: float) -> list[Cell]:
    most_us = one.max_us if one.count else None
    every = (one.p50_us, one.p99_us, one.p999_us, most_us)
    beside_us = words.beside(one.p99_us, target_us)
    return [*(words.latency(us, beside_us) for us in every), words.number(one.count)]


def classes(now: Now) -> Block:
    """Who gets what: each class, its target where it has one, and how it is served."""
    rows: list[list[Cell]] = []
    for number, one in enumerate(now.slo.classes):
        name = CLASSES[number] if number < len(CLASSES) else ""
        interval = _interval(now, number)
        rows.append(
            [
                f"{number} {name}",
                words.latency(one.p99_us, one.target_us or now.slo.target_us),
                words.latency(one.target_us, one.target_us),
                words.number(one.count),
                words.number(one.conflated),
                Text(words.number(one.dropped), style="red" if one.dropped else ""),
                Text(words.interval(interval), style="yellow" if interval != 0 else ""),
                words.state(one.state),
            ]
        )
    heads = ("<class", "p99", "target", "count", "conflated", "dropped", "served", "<state")
    return Block(rows, heads, least=len(rows))


# --- the machinery --------------------------------------------------------------------------------


def controller(now: Now) -> Block:
    """What each worker's controller sees and does, the one that does most first."""
    rows: list[list[Cell]] = [
        [
            safe(one.worker),
            Text(str(one.step), style="yellow" if one.step else ""),
            " ".join(words.interval(ms).replace(" ms", "") for ms in one.intervals_ms),
            words.share(one.busy),
            words.rate(one.delivered_per_s),
            words.latency(one.sweep_us or None),
            words.latency(one.ring_age_us),
        ]
        for one in sorted(now.controller, key=lambda one: -one.step)
    ]
    heads = ("<worker", "step", "<ms by class", "busy", "delivered", "sweep", "ring age")
    return Block(rows, heads)


def clients(now: Now) -> Block:
    """How many, and how they are served."""
    text = Text(f"clients {words.number(now.connections)}")
    for level, count in enumerate(now.levels):
        name = LEVELS[level] if level < len(LEVELS) else str(level)
        style = "yellow" if level and count else ""
        text.append(" · " if level else "  ").append(f"{name} {words.number(count)}", style)
    text.append(f"  blocked {words.number(now.blocked)}")
    text.append(f"  subscriptions {words.number(now.subscriptions)}")
    return Block([[text]])


def slowest(now: Now) -> Block:
    """The slowest clients, each with why."""
    rows: list[list[Cell]] = [
        [
            safe(one.connection_id),
            safe(one.address),
            LEVELS[one.level] if 0 <= one.level < len(LEVELS) else str(one.level),
            words.milliseconds(one.age_ms),
            words.number(one.pending_bytes),
            safe(one.why),
        ]
        for one in now.slowest
    ]
    return Block(rows, ("<slowest", "<address", "<level", "age", "bytes", "<why"))


def feeds(now: Now) -> Block:
    """Feeds, troubled ones first."""
    ordered = sorted(now.feeds, key=_flows)
    rows: list[list[Cell]] = [
        [
            safe(one.name),
            safe(one.state, "" if _flows(one) else "bold red"),
            words.number(one.records),
            words.ago(one.last_record_ns, now.ts),
            words.number(one.gaps),
            words.number(one.lost),
            words.number(one.decode_errors),
            safe(one.message or _refused(one, now.ts)),
        ]
        for one in ordered
    ]
    heads = ("<feed", "<state", "records", "last", "gaps", "lost", "refused", "<message")
    return Block(rows, heads)


def _refused(feed: Feed, now_ns: int) -> str:
    """What it refused last: which field of what, why, and what stood there."""
    last = feed.last_refused
    if last is None:
        return ""
    where = " ".join(filter(None, (last.symbol, last.channel, last.field)))
    value = f" ({last.value})" if last.value else ""
    when = words.ago(last.at_ns, now_ns)
    return f"refused {when}: {where}: {last.why}{value}" if where else f"refused {when}: {last.why}"


def _flows(feed: Feed) -> bool:
    """Whether the feed is as it should be."""
    return feed.state in ("up", "done")


def processes(now: Now) -> Block:
    """Processes and their pauses."""
    rows: list[list[Cell]] = [
        [
            safe(one.name),
            safe(one.state, "" if one.state == "ready" else "bold red"),
            words.number(one.restarts),
            words.milliseconds(one.loop_lag_ms),
            words.milliseconds(one.loop_lag_max_ms),
            words.milliseconds(one.gc_pause_max_ms),
            words.milliseconds(one.run_delay_ms),
            words.number(one.plane_stalls),
            words.NOTHING if one.cpu is None else f"{one.cpu:.2f}",
        ]
        for one in now.processes
    ]
    heads = ("<process", "<state", "restarts", "lag", "lag max", "gc max", "no cpu", "stalls")
    return Block(rows, (*heads, "cores"))


def changes(now: Now) -> Block:
    """The last transitions of ladder and state, newest first."""
    rows: list[list[Cell]] = [
        [
            words.ago(one.ts, now.ts),
            safe(one.worker),
            safe(one.kind),
            Text.assemble(_place(one, one.was), " to ", _place(one, one.step)),
            safe(one.reason),
        ]
        for one in reversed(now.history)
    ]
    return Block(rows, ("<change", "<worker", "<of", "<from", "<why"))


def stalls(now: Now) -> Block:
    """The last stalls by name, newest first."""
    rows: list[list[Cell]] = [
        [
            words.ago(one.ts, now.ts),
            safe(one.process),
            safe(one.kind),
            words.milliseconds(one.ms),
            safe(one.words),
        ]
        for one in reversed(now.stalls)
    ]
    return Block(rows, ("<stall", "<process", "<kind", "lasted", "<what"))


def _place(change: Transition, number: int | None) -> str:
    """Where a change began or ended: a step of the ladder, or a state by its name."""
    if number is None:
        return words.NOTHING
    names = list(words.STATES)
    if change.kind == "state" and 0 <= number < len(names):
        return words.STATES[names[number]][0]
    return str(number)
