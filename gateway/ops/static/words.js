// What the page says: numbers and sentences from the gateway's figures. Pure: no clock, no page.

export const CLASSES = ["trades", "bbo", "screens", "bulk"];
export const LEVELS = ["live", "every 20 ms", "every 100 ms", "by snapshots"];
export const RARE_MIN = 1000; // samples below which a p99.9 is chance, and is not shown
export const NONE = "–";
const NBSP = "\u00a0";

export const count = (n) => (n === null || n === undefined ? NONE : Math.round(n).toLocaleString("en"));

// No line may break between a number and its unit. The rule of units is that of gateway/loadtest/units.py:
// the unit suits the size; side by side with others it is that of `beside_us`, the target or a p99.
const UNITS = [["s", 1e6], ["ms", 1e3], ["µs", 1], ["ns", 1e-3]];
const unitOf = (us, units) => units.find(([, size]) => Math.abs(us) >= 0.9995 * size);

export function duration(us, beside_us) {
  if (us === null || us === undefined || !Number.isFinite(us)) return NONE;
  if (beside_us) {
    const [unit, size] = unitOf(beside_us, UNITS.slice(1)) ?? UNITS.at(-1);
    const value = us / size;
    const small = value > 0 ? "<0.001" : "0";
    return `${Math.abs(value) < 0.0005 ? small : digits(value, 3)}${NBSP}${unit}`;
  }
  const found = unitOf(us, UNITS);
  return found === undefined ? `0${NBSP}µs` : `${digits(us / found[1])}${NBSP}${found[0]}`;
}

// What a row is told beside: the target, but where its p99 is not even a hundredth of that.
export const beside = (p99_us, target_us) => (p99_us < target_us / 100 ? p99_us : target_us);

// Three digits of the value as it is shown, and no more decimals than so many.
function digits(value, decimals_max = Infinity) {
  const exponent = Number(value.toExponential(2).split("e")[1]);
  if (exponent < -3 && decimals_max === Infinity) return String(Number(value.toPrecision(2)));
  const decimals = Math.min(Math.max(2 - exponent, 0), decimals_max);
  return decimals === 0 ? count(value) : value.toFixed(decimals);
}

// "since the start, 45 s ago"
export const since = (seconds) => `since the start, ${span(seconds)} ago`;

export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [min, h] = [Math.floor(whole / 60), Math.floor(whole / 3600)];
  if (min === 0) return `${whole}${NBSP}s`;
  if (h === 0) return `${min}${NBSP}min`;
  const rest = min % 60 && h < 10 ? ` ${min % 60}${NBSP}min` : "";
  return h < 48 ? `${h}${NBSP}h${rest}` : `${Math.floor(h / 24)}${NBSP}days`;
}

export function rate(per_s) {
  if (per_s === null || per_s === undefined) return NONE;
  const [size, letter] = per_s >= 999.5e3 ? [1e6, "M"] : per_s >= 999.5 ? [1e3, "k"] : [1, ""];
  return `${per_s === 0 ? "0" : digits(per_s / size)}${NBSP}${letter}/s`;
}

// As on an axis, where a tick is round: without zeros at the end.
export const round = (words) => words.replace(/(\.\d*?)0+(?=\u00a0)/, "$1").replace(/\.(?=\u00a0)/, "");

export function bytes(n) {
  if (n === null || n === undefined) return NONE;
  if (n < 1024) return `${n}${NBSP}B`;
  return n < 1 << 20 ? `${(n / 1024).toFixed(1)}${NBSP}KiB` : `${(n / (1 << 20)).toFixed(1)}${NBSP}MiB`;
}

export const share = (part) => {
  const percent = part * 100;
  const text = percent > 0 && percent < 1 ? "<1" : percent < 100 && percent > 99 ? ">99" : String(Math.round(percent));
  return `${text}${NBSP}%`;
};

// Times of day are UTC everywhere on the page, as they are in the gateway's log.
export const clock = (ms) => new Date(ms).toISOString().slice(11, 19);
export const moment = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");

export const rare = (figures) => (figures.count >= RARE_MIN ? figures.p999_us : null);

export const plural = (n, one, many = `${one}s`) => `${count(n)}${NBSP}${n === 1 ? one : many}`;

const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);
const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);
export const className = (number) => `class ${number} (${CLASSES[number]})`;
export const stateName = (state) => ({ at_risk: "at risk" }[state] ?? state);

// --- the answer --------------------------------------------------------------------------------------

// The objective's percentile: the figure that is judged, where the message has it.
export const reached = (slo) => slo[`p${String(slo.percentile).replace(".", "")}_us`];

// "p99 0.410 ms of 1.00 ms: ok for 3 h." `now_ns` is the gateway's clock, as `since` is.
export function headline(slo, now_ns) {
  const lasting = `${stateName(slo.state)} for ${span((now_ns - slo.since) / 1e9)}`;
  if (!slo.count) return `Nothing was delivered in the last ${span(slo.window_s)}: ${lasting}.`;
  const [is, target] = [reached(slo), slo.target_us].map((us) => duration(us, slo.target_us));
  return `p${slo.percentile} ${is} of ${target}: ${lasting}.`;
}

// "96 % of the hour's budget left."
export function budget(slo) {
  const left = slo.budget_remaining;
  if (left >= 0) return left > 0 ? `${share(left)} of the hour’s budget left.` : "Nothing of the hour’s budget is left.";
  return `The hour’s budget is overspent: ${(1 - left).toFixed(left > -9 ? 1 : 0)} times what it allows.`;
}

// The burn alerts that ring, or nothing.
export function alerts(slo) {
  const ringing = (slo.alerts ?? []).filter((alert) => alert.burning);
  if (ringing.length === 0) return "";
  const words = ringing.map((alert) => `${alert.rate}× over ${alert.windows.replace("/", " and ")}`);
  return `The budget burns faster than ${list(words)}.`;
}

// What each class gets, of the worst worker: null is paused, otherwise milliseconds between ticks.
export function intervals(controllers) {
  return CLASSES.map((_, number) => {
    const all = controllers.map((one) => one.intervals_ms[number]);
    return all.includes(null) ? null : Math.max(0, ...all);
  });
}

// "Nothing is conflated.", or what is, for how long, and why.
export function degraded(controllers, history, now_ns) {
  const words = intervals(controllers)
    .map((ms, number) => [ms, className(number)])
    .filter(([ms]) => ms !== 0)
    .map(([ms, name]) => (ms === null ? `${name} is paused` : `${name} is conflated to ${ms}${NBSP}ms`))
    .reverse();
  if (words.length === 0) return "Nothing is conflated.";
  const touched = controllers.filter((one) => one.step > 0).length;
  const where = controllers.length > 1 ? ` on ${touched} of ${controllers.length} workers` : "";
  return `${sentence(list(words))}${where}${because(history, now_ns)}.`;
}

function because(history, now_ns) {
  const steps = history.filter((one) => one.kind === "ladder");
  const last = steps.at(-1);
  if (last === undefined || last.step === 0) return "";
  const first = steps.findLast((one) => one.was === 0) ?? steps[0];
  return ` for ${span((now_ns - first.ts) / 1e9)}, because of: ${last.reason}`;
}

export function infeasible(now) {
  const worst = worstWorker(now.controller.filter((one) => one.infeasible));
  if (now.slo.state !== "infeasible" && worst === undefined) return "";
  if (worst === undefined) return "No ladder can hold this target: one tick alone takes longer.";
  const audience = plural(worst.audience_max, "client");
  return `The target can’t be held: one tick to ${audience} takes ${duration(worst.fan_out_us, now.slo.target_us)} on ${worst.worker}. `
    + "More workers, or a higher target.";
}

const worstWorker = (all) => all.reduce((worst, one) => (worst && worst.fan_out_us >= one.fan_out_us ? worst : one), undefined);

export function slower(levels) {
  const behind = levels[1] + levels[2] + levels[3];
  return behind === 0 ? "" : `${plural(behind, "client")} of ${count(behind + levels[0])} can’t keep up and ${behind === 1 ? "gets" : "get"} less.`;
}

export const observing = (slo) => (slo.enforce === false ? "Only observing: nothing is done about it." : "");

// What a screen reader is told: only what changes with the state, not each second's figures.
export function spoken(now) {
  const parts = [`The objective is ${stateName(now.slo.state)}.`, ...now.problems.map((text) => `${text}.`)];
  const held = intervals(now.controller).filter((ms) => ms !== 0).length;
  parts.push(held === 0 ? "Nothing is conflated." : `${plural(held, "class", "classes")} conflated or paused.`);
  return parts.join(" ");
}

// --- is it the feed, the gateway, or the clients? ------------------------------------------------------

const INSIDE = ["ingest", "ring", "fanout"];
export const longest = (stages) => INSIDE.filter((name) => stages[name]?.count)
  .reduce((worst, name) => (worst && stages[worst].p99_us >= stages[name].p99_us ? worst : name), undefined);

const SLOWEST_FACTOR = 5; // the wire is blamed where it takes so many times what we take

// Where ticks come from, by the type of the feeds: what it is called, what its stage `wire` spans, and who is
// to blame for a long one. No feed of these has an exchange behind it that we know of; a made-up record has no
// age before it is made, so for one that is made late there is nobody to blame: the host was busy.
const ORIGINS = {
  synthetic: {
    name: "The made-up feed", spans: "due to made", blamed: null,
    words: "p99 from when a record was due to when it was made: how late this host woke the feed.",
  },
  udp: {
    name: "The sender", spans: "sender’s stamp to our socket", blamed: "the sender or the way from it",
    words: "p99 from the sender’s stamp to our socket",
  },
  replay: { name: "The recording", spans: "not measured", blamed: "the recording", words: "" },
};
const SEVERAL = {
  name: "The feeds", spans: "a record’s stamp to our socket", blamed: "a feed or the way from it",
  words: "p99 from a record’s stamp to our socket",
};

export function origin(now) {
  const types = new Set(now.feeds.map((feed) => feed.type).filter((type) => type !== "replay" || now.feeds.length === 1));
  const found = (types.size === 1 && ORIGINS[[...types][0]]) || SEVERAL;
  return { ...found, ...come(now, found) };
}

function come(now, { words, blamed }) {
  const { wire, total } = now.stages;
  const down = now.feeds.filter((feed) => !["up", "done"].includes(feed.state));
  if (down.length > 0) {
    const states = list(down.map((feed) => `${feed.name} is ${feed.state}`));
    return { bad: true, figure: plural(down.length, "feed"), words: `${states}.`, blamed: `a feed that is not up (${states})` };
  }
  if (now.feeds.length === 0) return { bad: false, figure: NONE, words: "No feed is configured." };
  if (!wire?.count) return { bad: false, figure: NONE, words: "Records have no stamps to tell by." };
  const own = total?.count ? total.p99_us : 0;
  const bad = wire.p99_us > Math.max(SLOWEST_FACTOR * own, now.slo.target_us);
  const figure = duration(wire.p99_us, now.slo.target_us);
  if (blamed === null) return { bad: false, late: bad, figure, words: `${words}${waited(now, bad)}` };
  if (wire.p50_us < 0) return { bad, figure, words: "Its clock is ahead of ours: a wire time below zero tells nothing." };
  const times = own > 0 && wire.p99_us > own ? `, ${rounded(wire.p99_us / own)} times what we take` : "";
  return { bad, figure, words: `${words}${times}. It compares two clocks.` };
}

// How long the feed's process stood in line for a CPU, where it woke late.
function waited(now, bad) {
  const ms = now.processes.find((one) => one.name === "feed")?.run_delay_ms ?? 0;
  return bad && ms > 0 ? ` In the last second its process waited ${duration(ms * 1000)} for a CPU.` : "";
}

const rounded = (times) => (times >= 10 ? count(times) : times.toFixed(1));

// The longest time for which the host gave one of our processes no CPU, since what led to this state.
const starved = (now) => now.stalls.filter((one) => one.kind === "theft" && one.ts >= now.slo.since - now.slo.window_s * 1e9)
  .reduce((worst, one) => (worst && worst.ms >= one.ms ? worst : one), undefined);

export function ours(now) {
  const { total } = now.stages;
  const bad = ["breached", "infeasible"].includes(now.slo.state);
  const stall = bad ? starved(now) : undefined;
  if (stall !== undefined) {
    const time = duration(stall.ms * 1000);
    const blamed = `this host, which gave the gateway no CPU for ${time}`;
    return { bad, figure: duration(total?.p99_us, now.slo.target_us), blamed, words: `${stall.process} waited ${time} for a CPU, at ${clock(stall.ts / 1e6)}.` };
  }
  if (!total?.count) return { bad, figure: NONE, words: "Nothing was delivered." };
  const worst = longest(now.stages);
  const [is, longest_us] = [total, now.stages[worst]].map((stage) => duration(stage?.p99_us, now.slo.target_us));
  const mostly = worst ? ` Longest of its stages: ${worst}, p99 ${longest_us}.` : "";
  return { bad, figure: is, words: `p99 from our socket to the client’s.${mostly}` };
}

export function clients(now) {
  const behind = now.levels[1] + now.levels[2] + now.levels[3];
  const worst = now.slowest[0];
  const bad = behind > 0;
  if (!bad && (worst === undefined || worst.age_ms * 1000 < now.slo.target_us)) {
    return { bad, figure: "0 behind", words: ["No client is connected.", "The one client keeps up."][now.connections] ?? `All ${count(now.connections)} clients keep up.` };
  }
  const oldest = worst ? ` The slowest, ${worst.connection_id}, waits for ${duration(worst.age_ms * 1000)}: ${worst.why}.` : "";
  return { bad, figure: bad ? `${count(behind)} behind` : duration(worst.age_ms * 1000), words: `Of ${plural(now.connections, "client")}.${oldest}` };
}

export function answer(now) {
  const first = origin(now);
  const blamed = [[first.blamed, first], [ours(now).blamed ?? "the gateway", ours(now)],
    ["clients that read too slowly", clients(now)]].filter(([, one]) => one.bad).map(([name]) => name);
  if (blamed.length > 0) return `It is ${list(blamed)}.`;
  if (first.late) return "Nobody: ticks leave in time, but this host was busy and woke the made-up feed late.";
  return now.slo.count ? "Nobody: ticks come in time, and leave in time." : "Nobody: nothing moves.";
}

// --- whether what is shown is still so -----------------------------------------------------------------

export const STALE_S = 3;

// What the line at the top says of the connection: [class, words].
export function freshness({ link, age_s, retry_s, frozen }) {
  const old = age_s === null ? "no figures yet" : `figures are ${span(age_s)} old`;
  if (link === "waiting") return ["bad", `disconnected: ${old}; trying again in ${span(Math.ceil(retry_s))}`];
  if (link === "connecting") return [age_s === null ? "soft" : "bad", age_s === null ? "connecting" : `connecting: ${old}`];
  if (age_s === null) return ["soft", "connected, waiting for figures"];
  if (age_s >= STALE_S) return ["bad", `stale: ${old}`];
  return frozen ? ["doubt", "live; charts are frozen"] : ["good", "live"];
}
