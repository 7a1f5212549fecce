// What the page says: numbers and sentences from the gateway's figures. Pure: no clock, no page.

export const CLASSES = ["trades", "bbo", "screens", "bulk"];
export const LEVELS = ["live", "every 20 ms", "every 100 ms", "by snapshots"];
export const RARE_MIN = 1000; // samples below which a p99.9 is chance, and is not shown
export const NONE = "–";
const NBSP = "\u00a0";

export const count = (n) => (n === null || n === undefined ? NONE : Math.round(n).toLocaleString("en"));

// No line may break between a number and its unit.
export function duration(us) {
  if (us === null || us === undefined || !Number.isFinite(us)) return NONE;
  const size = Math.abs(us);
  const [value, unit] = size >= 999.5e3 ? [us / 1e6, "s"] : size >= 999.5 ? [us / 1e3, "ms"] : [us, "µs"];
  const digits = Math.abs(value) >= 99.5 ? 0 : Math.abs(value) >= 9.95 ? 1 : 2;
  return `${value.toFixed(digits)}${NBSP}${unit}`;
}

// A measured time and its target, in the target's unit, so that they compare at a glance.
export function against(us, target_us) {
  if (us !== null && us !== undefined && us < 9950 && target_us < 9950 && target_us >= 100) {
    return [`${us < 99.5 ? us.toFixed(1) : count(us)}${NBSP}µs`, `${count(target_us)}${NBSP}µs`];
  }
  return [duration(us), duration(target_us)];
}

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
  const [value, unit] = per_s >= 999.5e3 ? [per_s / 1e6, "M"] : per_s >= 9995 ? [per_s / 1e3, "k"] : [per_s, ""];
  const digits = unit === "" ? (value > 0 && value < 10 && !Number.isInteger(value) ? 1 : 0) : value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = unit === "" && digits === 0 ? count(value) : value.toFixed(digits);
  return `${text}${unit && NBSP}${unit}/s`;
}

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

// "p99 410 µs of 1,000 µs: ok for 3 h." `now_ns` is the gateway's clock, as `since` is.
export function headline(slo, now_ns) {
  const lasting = `${stateName(slo.state)} for ${span((now_ns - slo.since) / 1e9)}`;
  if (!slo.count) return `Nothing was delivered in the last ${span(slo.window_s)}: ${lasting}.`;
  const [is, target] = against(reached(slo), slo.target_us);
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
  return `The target can’t be held: one tick to ${audience} takes ${duration(worst.fan_out_us)} on ${worst.worker}. `
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

// --- is it the exchange, us, or you? -------------------------------------------------------------------

const INSIDE = ["ingest", "ring", "fanout"];
export const longest = (stages) => INSIDE.filter((name) => stages[name]?.count)
  .reduce((worst, name) => (worst && stages[worst].p99_us >= stages[name].p99_us ? worst : name), undefined);

const SLOWEST_FACTOR = 5; // the wire is blamed where it takes so many times what we take

export function exchange(now) {
  const { wire, total } = now.stages;
  const down = now.feeds.filter((feed) => !["up", "done"].includes(feed.state));
  if (down.length > 0) {
    return { bad: true, figure: plural(down.length, "feed"), words: `${list(down.map((feed) => `${feed.name} is ${feed.state}`))}.` };
  }
  if (!wire?.count) return { bad: false, figure: NONE, words: "Venues sent no stamps to tell by." };
  const own = total?.count ? total.p99_us : 0;
  const bad = wire.p99_us > Math.max(SLOWEST_FACTOR * own, now.slo.target_us);
  const times = own > 0 && wire.p99_us > own ? `, ${rounded(wire.p99_us / own)} times what we take` : "";
  return {
    bad,
    figure: duration(wire.p99_us),
    words: wire.p50_us < 0
      ? "Its clock is ahead of ours: a wire time below zero tells nothing."
      : `p99 from the venue’s stamp to our socket${times}. It compares two clocks.`,
  };
}

const rounded = (times) => (times >= 10 ? count(times) : times.toFixed(1));

export function ours(now) {
  const { total } = now.stages;
  const bad = ["breached", "infeasible"].includes(now.slo.state);
  if (!total?.count) return { bad, figure: NONE, words: "Nothing was delivered." };
  const worst = longest(now.stages);
  const mostly = worst ? ` Longest of its stages: ${worst}, p99 ${duration(now.stages[worst].p99_us)}.` : "";
  return { bad, figure: duration(total.p99_us), words: `p99 from our socket to the client’s.${mostly}` };
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
  const blamed = [["the exchange or the way from it", exchange(now)], ["the gateway", ours(now)],
    ["clients that read too slowly", clients(now)]].filter(([, one]) => one.bad).map(([name]) => name);
  if (blamed.length > 0) return `It is ${list(blamed)}.`;
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
