// From points of the history to what a chart draws: traces with roles for colours. Pure. Percentiles are
// taken as they come, never averaged; counts and heat may be added up, and are.

import { CLASSES, NONE, clock, count, duration, moment, rate, round, stateName } from "./words.js";

const NS_PER_MS = 1e6;
const US_MIN = 0.1; // a logarithmic axis has no zero
const GAP_SPANS = 2.5; // no line is drawn over a hole that is longer
export const HEAT_COLUMNS_MAX = 240;
const DAY_MS = 86400e3;

// Time in milliseconds of each point, with a hole where the gateway was away. `values` gives a point's.
function over(points, value, words) {
  const [x, y, text] = [[], [], []];
  let last = null;
  for (const point of points) {
    const ms = point.ts / NS_PER_MS;
    if (last !== null && ms - last > point.span_s * GAP_SPANS * 1000) {
      x.push(last + 1);
      y.push(null);
      text.push("");
    }
    const is = value(point);
    x.push(ms);
    y.push(is);
    text.push(is === null ? "" : words(is, point));
    last = ms;
  }
  return { x, y, text };
}

const line = (name, role, data, own = {}) => ({
  name, role, type: "scatter", mode: "lines", connectgaps: false, ...data,
  hovertemplate: "%{text}<extra></extra>", ...own,
});

const bars = (name, role, points, value, words) => {
  const width = points.map((point) => point.span_s * 1000);
  const x = points.map((point, n) => point.ts / NS_PER_MS - width[n] / 2);
  const y = points.map(value);
  const text = y.map((is) => words(is));
  return { name, role, type: "bar", x, y, width, text, textposition: "none", hovertemplate: "%{text}<extra></extra>" };
};

const positive = (us) => (us === null || us === undefined ? null : Math.max(us, US_MIN));

export function latency(points, slo) {
  const series = [["max", "max", "max_us"], ["p99.9", "rare", "p999_us"], ["p99", "main", "p99_us"], ["p50", "half", "p50_us"]];
  const traces = series.map(([name, role, field]) => line(name, role, over(points, (point) => positive(point[field]),
    (us, point) => `${name} ${duration(us, slo?.target_us)}${field === "p50_us" ? ` · ${count(point.count)} deliveries` : ""}`),
    { width: field === "p99_us" ? 2.2 : 1.2 }));
  const values = traces.flatMap((trace) => trace.y).filter((us) => us !== null);
  if (slo) traces.push(target(slo, points));
  return { traces, y: durations([...values, ...(slo ? [slo.target_us] : [])], slo?.target_us), drawn: points.length };
}

function target(slo, points) {
  const ends = points.length > 0 ? [points[0].ts / NS_PER_MS, points.at(-1).ts / NS_PER_MS] : [];
  return line("target", "limit", { x: ends, y: ends.map(() => slo.target_us), text: [] }, { dash: "dash", width: 1.2, hoverinfo: "skip", hovertemplate: null });
}

// The highest p99, and when: what the eye would look for. It is the highest of single spans.
export function latencyWords(points, slo) {
  const known = points.filter((point) => point.p99_us !== null);
  if (known.length === 0) return "Nothing was delivered in this time.";
  const worst = known.reduce((one, other) => (other.p99_us > one.p99_us ? other : one));
  const deliveries = points.reduce((sum, point) => sum + point.count, 0);
  return `The worst ${worst.span_s < 1.5 ? "second" : `${Math.round(worst.span_s)} s`}: p99 ${duration(worst.p99_us, slo?.target_us)}, `
    + `${at(worst, points)}. ${count(deliveries)} deliveries.`;
}

function at(point, points) {
  const long = points.at(-1).ts - points[0].ts > DAY_MS * NS_PER_MS * 0.9;
  return (long ? moment : clock)(point.ts / NS_PER_MS);
}

// Whole columns are added up until there are no more than a screen shows.
export function heat(points, slo) {
  const per = Math.max(1, Math.ceil(points.length / HEAT_COLUMNS_MAX));
  const buckets = points.flatMap((point) => point.heat.map(([bucket]) => bucket));
  if (buckets.length === 0) return { traces: [], y: {}, drawn: 0 };
  const low = buckets.reduce((a, b) => Math.min(a, b));
  const high = buckets.reduce((a, b) => Math.max(a, b));
  const columns = [];
  for (let first = 0; first < points.length; first += per) columns.push(points.slice(first, first + per));
  const z = Array.from({ length: high - low + 1 }, () => new Array(columns.length).fill(null));
  columns.forEach((column, n) => {
    for (const { heat: pairs } of column) for (const [bucket, many] of pairs) z[bucket - low][n] += many;
  });
  const most = z.flat().reduce((a, b) => Math.max(a, b), 1);
  const edge = (bucket) => 2 ** (bucket / 4);
  const x = columns.map((column) => (column[0].ts + column.at(-1).ts) / 2 / NS_PER_MS);
  const text = z.map((row, n) => row.map((many) => (many === null ? "" :
    `${duration(edge(low + n), slo?.target_us)} to ${duration(edge(low + n + 1), slo?.target_us)}: ${count(many)}`)));
  const ticks = durations([edge(low), edge(high + 1)], slo?.target_us);
  return {
    traces: [{
      type: "heatmap", role: "heat", x, z: z.map((row) => row.map((many) => many && Math.log10(many + 1))), text,
      y: z.map((_, n) => (low + n + 0.5) / 4), zmin: 0, zmax: Math.log10(most + 1), showscale: false,
      hoverongaps: false, hovertemplate: "%{text}<extra></extra>",
    }],
    // Buckets are even in the logarithm to the base 2: that is the axis.
    y: { tickvals: ticks.tickvals.map(Math.log2), ticktext: ticks.ticktext, range: [low / 4, (high + 1) / 4] },
    drawn: z.length * columns.length,
  };
}

const NINES = [[1, "0"], [2, "50"], [10, "90"], [100, "99"], [1e3, "99.9"], [1e4, "99.99"], [1e5, "99.999"], [1e6, "99.9999"],
  [1e7, "99.99999"], [1e8, "99.999999"]];
const NINES_PX = 58; // room for one of them

// Durations over 1 / (1 - share) on a logarithmic axis, as plots of hgrm files are.
export function percentiles(merged, slo, width) {
  if (!merged?.count) return { traces: [], x: {}, y: {}, drawn: 0 };
  // A count of values has so many nines and no more: beyond them is the longest alone.
  const known = merged.percentiles.map(([percentile, us]) => [1 / Math.max(1 - percentile / 100, 1 / merged.count), positive(us), percentile]);
  const end = Math.max(2, ...known.map(([place]) => place));
  const traces = [line("this window", "main", {
    x: known.map(([place]) => place), y: known.map(([, us]) => us),
    text: known.map(([, us, percentile]) => `${Number(percentile.toPrecision(8))} %: ${duration(us, slo?.target_us)}`),
  }, { shape: "hv", width: 2.2 })];
  if (slo) {
    traces.push({
      name: `target: p${slo.percentile}`, role: "limit", type: "scatter", mode: "markers", x: [1 / (1 - slo.percentile / 100)], y: [slo.target_us],
      text: [`target: p${slo.percentile} in ${duration(slo.target_us, slo.target_us)}`], hovertemplate: "%{text}<extra></extra>", symbol: "triangle-down", size: 12,
    });
  }
  const decades = Math.log10(end) + 0.05;
  const crowded = width / decades < NINES_PX;
  const shown = NINES.filter(([place]) => place <= end * 1.01 && !(crowded && [1, 1e5, 1e7].includes(place)));
  return {
    traces,
    x: { type: "log", range: [0, decades], tickangle: 0, title: { text: "percentile", standoff: 4 }, tickvals: shown.map(([place]) => place), ticktext: shown.map(([, name]) => name) },
    y: durations([...known.map(([, us]) => us), ...(slo ? [slo.target_us] : [])], slo?.target_us),
    drawn: known.length,
  };
}

export function percentilesWords(merged, slo) {
  if (!merged?.count) return "Nothing was delivered in this time.";
  const each = (us) => duration(us, slo?.target_us);
  const rare = merged.count >= 1000 ? `, p99.9 ${each(merged.p999_us)}` : "";
  return `p50 ${each(merged.p50_us)}, p90 ${each(merged.p90_us)}, p99 ${each(merged.p99_us)}${rare}, `
    + `max ${each(merged.max_us)} of ${count(merged.count)} deliveries.`;
}

export function load(points) {
  const per_s = (field) => (point) => point[field] / point.span_s;
  const series = [["delivered", "main", "delivered"], ["published", "half", "published"]];
  return {
    traces: series.map(([name, role, field]) => line(name, role, over(points, per_s(field), (is) => `${name} ${rate(is)}`))),
    y: perSecond(points.map((point) => Math.max(point.delivered, point.published) / point.span_s)),
    drawn: points.length,
  };
}

export function losses(points, field) {
  return {
    traces: CLASSES.map((name, number) => bars(`${number} ${name}`, `class${number}`, points,
      (point) => point.classes[number][field] / point.span_s, (is) => (is > 0 ? `${name} ${rate(is)}` : "")))
      .filter((trace) => trace.y.some((is) => is > 0)),
    y: perSecond(points.map((point) => point.classes.reduce((sum, one) => sum + one[field], 0) / point.span_s)),
    empty: `Nothing was ${field}.`,
    drawn: points.length,
  };
}

export function lossesWords(points, field) {
  const sums = CLASSES.map((name, number) => [name, points.reduce((sum, point) => sum + point.classes[number][field], 0)]);
  const some = sums.filter(([, sum]) => sum > 0);
  return some.length === 0 ? `Nothing was ${field}.` : some.map(([name, sum]) => `${name} ${count(sum)}`).join(" · ");
}

// `targets` are those of the classes, the promise's first.
export function classes(points, targets) {
  const traces = CLASSES.map((name, number) => line(`${number} ${name}`, `class${number}`,
    over(points, (point) => positive(point.classes[number].p99_us),
      (us, point) => `${name} p99 ${duration(us, targets[0])} · ${count(point.classes[number].count)}`)))
    .filter((trace) => trace.y.some((us) => us !== null));
  const values = traces.flatMap((trace) => trace.y).filter((us) => us !== null);
  return { traces, y: durations([...values, ...targets.filter((us) => us)], targets[0]), drawn: points.length };
}

export function ladder(points) {
  const data = over(points, (point) => point.step, (step, point) => `step ${step} · ${stateName(point.state)}`);
  const top = Math.max(1, ...points.map((point) => point.step));
  return {
    traces: [line("step", "main", data, { shape: "hv", fill: "tozeroy", width: 1.6 })],
    y: { range: [0, top * 1.1], tickformat: "d", nticks: Math.min(top + 1, 7) },
    drawn: points.length,
  };
}

export function ladderWords(points) {
  const degraded_s = points.reduce((sum, point) => sum + (point.step > 0 ? point.span_s : 0), 0);
  const whole_s = points.reduce((sum, point) => sum + point.span_s, 0);
  if (whole_s === 0) return NONE;
  if (degraded_s === 0) return "Never degraded in this time.";
  const top = Math.max(...points.map((point) => point.step));
  return `Degraded for ${((100 * degraded_s) / whole_s).toPrecision(2)} % of this time, up to step ${top}.`;
}

export function connections(points) {
  return {
    traces: [line("connections", "main", over(points, (point) => point.connections, (is) => `${count(is)} connections`), { shape: "hv" })],
    y: fromZero(points.map((point) => point.connections), count, 1),
    drawn: points.length,
  };
}

const perSecond = (values) => fromZero(values, rate);

const TICKS_MAX = 5;

// An axis from 0 with room for whatever is the highest; its ticks are round, no closer than `step_min`, and say
// what the cards say. plotly.js would call a half of a connection 500m.
export function fromZero(values, words, step_min = 0) {
  const top = values.reduce((a, b) => Math.max(a, b), 0) || 1;
  const power = 10 ** Math.floor(Math.log10(top / TICKS_MAX));
  const step = Math.max(step_min, [1, 2, 5, 10].map((digit) => digit * power).find((one) => top / one <= TICKS_MAX));
  const tickvals = Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, n) => n * step);
  return { range: [0, top * 1.08], tickvals, ticktext: tickvals.map((value) => round(words(value))) };
}

// A logarithmic axis with round durations at its ticks, all in one unit where there is a target.
export function durations(values_us, target_us) {
  let [low, high] = values_us.reduce(([a, b], us) => [Math.min(a, us), Math.max(b, us)], [Infinity, 0]);
  if (!Number.isFinite(low)) [low, high] = [1, 1000];
  [low, high] = [Math.log10(Math.max(low, US_MIN)), Math.log10(Math.max(high, US_MIN))];
  const margin = Math.max(0.06 * (high - low), 0.2); // room for a tick: 2 to 5 is 0.398
  [low, high] = [low - margin, high + margin];
  const digits = high - low < 1.6 ? [1, 2, 5] : high - low < 3 ? [1, 3] : [1];
  const tickvals = [];
  for (let power = Math.floor(low); power <= high; power += 1) {
    for (const digit of digits) {
      const place = Math.log10(digit) + power;
      if (place >= low && place <= high) tickvals.push(digit * 10 ** power);
    }
  }
  const ticktext = tickvals.map((us) => round(duration(us, us >= 1 ? target_us : undefined)));
  return { type: "log", range: [low, high], tickvals, ticktext };
}
