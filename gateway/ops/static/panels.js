// What each panel shows of the gateway's figures of now. Only texts and tables; charts are elsewhere.

import { byId, figure, fill, text } from "./tables.js";
import {
  CLASSES, LEVELS, NONE, answer, alerts, beside, budget, bytes, clients, clock, count, degraded, duration,
  headline, infeasible, intervals, moment, observing, origin, ours, plural, rare, rate, reached, share, slower, span,
  spoken, stateName,
} from "./words.js";

const SPANS = {
  ingest: "received to published", ring: "published to taken",
  fanout: "taken to this client’s socket", total: "received to this client’s socket",
};
const QUIET_S = 5;
const DAY_NS = 86400e9;
const ms = (value) => (value === null || value === undefined ? NONE : duration(value * 1000));
const when = (ts, now_ts) => (now_ts - ts < DAY_NS ? clock(ts / 1e6) : moment(ts / 1e6));
const kind = (bad, name = "bad") => (bad ? name : "");

// The state in words, from what came last on either channel.
export function verdict(slo, now) {
  byId("state").className = `verdict ${slo.state}`;
  text("badge", stateName(slo.state));
  text("objective", `p${slo.percentile} of ${slo.stage} within ${duration(slo.target_us, slo.target_us)}, last ${span(slo.window_s)}, `
    + `${count(slo.count)} samples`);
  figure("reached", reached(slo), "");
  text("headline", headline(slo, now.ts));
  text("outcome", [budget(slo), degraded(now.controller, now.history, now.ts), observing(slo)].filter(Boolean).join(" "));
  const worries = [...now.problems, infeasible(now), alerts(now.slo), slower(now.levels)].filter(Boolean);
  const shown = byId("worries");
  if ([...shown.children].map((one) => one.textContent).join("\n") !== worries.join("\n")) {
    shown.replaceChildren(...worries.map((words) => {
      const item = document.createElement("li");
      item.textContent = words;
      return item;
    }));
  }
  const title = now.ready ? stateName(slo.state) : "not ready";
  document.title = title === "ok" ? "Tickgate" : `${title} – Tickgate`;
  text("spoken", spoken({ ...now, slo }));
}

export function panels(now) {
  text("version", now.version);
  text("listen", now.listen);
  text("epoch", now.epoch);
  text("uptime", span(now.uptime_s));
  cards(now);
  where(now);
  byClass(now);
  ladder(now);
  clientele(now);
  feeds(now);
  processes(now);
}

function cards(now) {
  figure("connections", now.connections, count(now.connections));
  figure("subscriptions", now.subscriptions, count(now.subscriptions));
  for (const name of ["published", "delivered", "conflated", "dropped"]) {
    const per_s = Object.values(now.channels).reduce((sum, channel) => sum + channel[name], 0);
    figure(name, per_s, rate(per_s));
  }
}

function where(now) {
  text("answer", answer(now));
  const first = origin(now);
  text("origin-name", first.name);
  for (const [id, { bad, figure: shown, words }] of [["origin", first], ["ours", ours(now)], ["yours", clients(now)]]) {
    const party = byId(id);
    party.classList.toggle("guilty", bad);
    const [, number, said] = party.children;
    if (number.textContent !== shown) number.textContent = shown;
    if (said.textContent !== words) said.textContent = words;
  }
  for (const id of ["window", "window-too"]) text(id, span(now.slo.window_s));
  fill("stages", Object.entries(now.stages).map(([name, stage]) => [
    name, name === "wire" ? first.spans : SPANS[name] ?? "", { bar: band(stage) }, ...distribution(stage, now.slo.target_us), count(stage.count),
  ]));
}

// A row has one unit, so that its figures compare at a glance.
const distribution = (one, target_us) => [one.p50_us, one.p99_us, rare(one), one.max_us]
  .map((us) => (one.count ? duration(us, beside(one.p99_us, target_us)) : NONE));

// Places on a logarithmic scale from 1 µs to 10 s; the table's head says so.
function band(stage) {
  if (!stage.count) return { from: 0, to: 0, most: null };
  const place = (us) => Math.min(Math.max(Math.log10(Math.max(us, 1)) / 7, 0), 1).toFixed(4);
  return { from: place(stage.p50_us), to: place(stage.p99_us), most: place(stage.max_us) };
}

function byClass(now) {
  const held = intervals(now.controller);
  fill("by-class", (now.slo.classes ?? []).map((one) => {
    const each = held[one.class];
    const is = each === null ? "paused" : each === 0 ? "live" : `every ${each} ms`;
    return [
      `${one.class} ${CLASSES[one.class]}`,
      { text: one.count || one.bad ? stateName(one.state) : NONE, kind: kind(!["ok", null, undefined].includes(one.state)) },
      { text: is, kind: kind(each !== 0, "doubt") }, duration(one.target_us, one.target_us), ...distribution(one, one.target_us ?? now.slo.target_us), count(one.count),
      count(one.conflated), { text: count(one.dropped), kind: kind(one.dropped > 0) },
    ];
  }), "no figures by class yet");
}

function ladder(now) {
  const step = Math.max(0, ...now.controller.map((one) => one.step));
  text("ladder-state", step === 0 ? "at its foot: nothing is degraded" : `at step ${step}`);
  fill("changes", now.history.toReversed().map((one) => [
    when(one.ts, now.ts), one.worker ?? "", change(one), { text: one.reason ?? "", title: moment(one.ts / 1e6) },
  ]), "no transitions");
  fill("controllers", now.controller.map((one) => [
    one.worker, { text: one.step, kind: kind(one.step > 0, "doubt") }, one.busy === null ? NONE : share(one.busy),
    rate(one.delivered_per_s), { text: one.sweep_us ? duration(one.sweep_us) : NONE, title: `to ${plural(one.sweep_clients, "client")}` }, nanoseconds(one.delivery_cost_ns),
    { text: duration(one.fan_out_us), kind: kind(one.infeasible), title: `to ${plural(one.audience_max, "client")}` },
    duration(one.ring_age_us), { text: one.overload_s === null ? NONE : `${span(one.overload_s)}`, kind: kind(one.overload_s !== null) },
    one.class_links.map(count).join(" · "),
  ]), "no worker yet");
}

const nanoseconds = (ns) => (ns > 0 ? (ns < 1000 ? `${Math.round(ns)}\u00a0ns` : duration(ns / 1000)) : NONE);

function change(one) {
  if (one.kind === "state") return `${name(one.was)} → ${name(one.state ?? one.step)}`;
  return { text: `step ${one.was} → ${one.step}`, kind: one.step > one.was ? "doubt" : "good" };
}

const STATES = ["ok", "at risk", "breached", "infeasible"];
const name = (state) => STATES[state] ?? stateName(String(state));

function clientele(now) {
  const shown = now.levels.map((many, level) => [many, LEVELS[level]]).filter(([many]) => many > 0);
  text("levels", shown.map(([many, words]) => `${count(many)} ${words}`).join(" · "));
  fill("slowest", now.slowest.map((one) => [
    { text: one.connection_id, title: one.worker }, one.address, ms(one.age_ms), bytes(one.pending_bytes),
    { text: LEVELS[one.level] ?? one.level, kind: kind(one.level > 0, "doubt") }, one.why,
  ]), "no client waits for anything");
}

function feeds(now) {
  fill("by-feed", now.feeds.map((feed) => [
    feed.name,
    { text: feed.message ? `${feed.state}: ${feed.message}` : feed.last_refused ? `${feed.state}; refused ${refusals(feed, now.ts)}` : feed.state, kind: kind(!["up", "done"].includes(feed.state)) },
    count(feed.records), last(feed, now.ts), { text: count(feed.gaps), kind: kind(feed.gaps > 0, "doubt") },
    { text: count(feed.decode_errors), kind: kind(feed.decode_errors > 0, "doubt"), title: refusals(feed, now.ts) },
  ]), "no feed is configured");
  fill("by-channel", Object.entries(now.channels).map(([channel, one]) => [
    channel, ...["published", "routed", "delivered", "conflated", "dropped"].map((field) => rate(one[field])),
  ]), "nothing yet");
}

// Counts by reason, and the last one: which field of what, why, and what stood there.
function refusals(feed, now_ns) {
  const counts = Object.entries(feed.refused ?? {}).map(([reason, many]) => `${count(many)} ${reason}`);
  const one = feed.last_refused;
  if (!one) return counts.join(", ");
  const where = [one.symbol, one.channel, one.field].filter(Boolean).join(" ");
  return `${counts.join(", ")}; ${span((now_ns - one.at_ns) / 1e9)} ago: ${where ? `${where}: ` : ""}${one.why}${one.value ? ` (${one.value})` : ""}`;
}

function last(feed, now_ns) {
  if (!feed.last_record_ns) return "never";
  const age_s = (now_ns - feed.last_record_ns) / 1e9;
  return age_s < QUIET_S ? "now" : `${span(age_s)} ago`;
}

const LAG_BAD_MS = 50;

function processes(now) {
  fill("by-process", now.processes.map((one) => [
    one.name, { text: one.state, kind: kind(one.state !== "ready") }, one.pid || NONE, one.cpu?.toFixed(2) ?? NONE, ms(one.loop_lag_ms),
    { text: ms(one.loop_lag_max_ms), kind: kind(one.loop_lag_max_ms > LAG_BAD_MS, "doubt") }, count(one.gc_pauses),
    { text: ms(one.gc_pause_max_ms), kind: kind(one.gc_pause_max_ms > LAG_BAD_MS, "doubt") }, ms(one.run_delay_ms),
    { text: count(one.plane_stalls), kind: kind(one.plane_stalls > 0, "doubt") }, { text: count(one.restarts), kind: kind(one.restarts > 0) },
  ]));
  fill("stalls", now.stalls.toReversed().map((one) => [
    when(one.ts, now.ts), one.process, ms(one.ms), { text: one.words || one.kind, title: one.kind },
  ]), "none");
}
