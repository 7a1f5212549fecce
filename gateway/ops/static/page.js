// The dashboard: joins the socket, what is looked at, the panels and the charts.

import { Board } from "./charts.js";
import { Feed } from "./feed.js";
import { History, POINTS_MAX, refreshed_s } from "./history.js";
import { dark, onPalette, toggle } from "./palette.js";
import { panels, verdict } from "./panels.js";
import * as series from "./series.js";
import { byId, download, stale, text } from "./tables.js";
import { RANGES, bounds, followed, format, frozen, parse, young, zoomed } from "./view.js";
import { STALE_S, freshness, rate, since } from "./words.js";

const NS_PER_MS = 1e6;
const PLOTLY_AGAIN_MS = 10000;
const SPOKEN = { waiting: "The connection is lost.", live: "Connected." };

let view = parse(location.hash);
let now = null; // the last message of `ops`
let told = null; // the last of `slo`
let came_ms = null; // when `now` came, by our clock
let link = "connecting";
let retry_at_ms = 0;
let asked_ms = -Infinity; // when the history was asked for last
let asking = 0; // which request is the last one: replies to others are late
const history = new History();
const board = new Board({
  zoomed: (from, to) => look(zoomed(view, from, to)),
  released: () => look(followed(view)),
});

// The gateway's clock, as far as we know it: charts end where its figures do.
const gateway_ms = () => (now === null ? Date.now() : now.ts / NS_PER_MS + (Date.now() - came_ms));
const started_ms = () => (now === null ? -Infinity : now.ts / NS_PER_MS - now.uptime_s * 1000);
const looked_at = () => bounds(view, gateway_ms(), started_ms());
const objective = () => told ?? now?.slo;

const feed = new Feed({
  link(name, retry_ms) {
    if (name !== link && SPOKEN[name]) text("spoken", SPOKEN[name]);
    link = name;
    retry_at_ms = Date.now() + retry_ms;
    tell();
  },
  ready: () => refresh(),
  message(body) {
    if (body.channel === "ops") take(body.data.at(-1));
    else if (body.channel === "slo") told = body.data.at(-1);
    else return;
    if (now !== null) verdict(objective(), now);
  },
}, { open: () => new WebSocket(new URL("v1", location.href.replace(/^http/, "ws")), ["tickgate.v1.json"]) });

// To evaluate it takes longer than all else together: it comes when the first figures are on the page.
let fetched = false;
function fetchPlotly() {
  const script = document.createElement("script");
  script.src = "plotly.js";
  script.addEventListener("load", () => board.start(window.Plotly));
  script.addEventListener("error", () => {
    fetched = false; // the next figures ask again, as soon as there are any
    if (link === "live") text("latency-chart", "The charts’ library did not come; the tables have the figures.");
  });
  document.head.append(script);
}

function take(body) {
  if (!fetched) {
    fetched = true;
    setTimeout(fetchPlotly, now === null ? 50 : PLOTLY_AGAIN_MS);
  }
  const restarted = now !== null && body.epoch !== now.epoch;
  [now, came_ms] = [body, Date.now()];
  panels(now);
  if (restarted) refresh();
  else if (!frozen(view) && history.append(now.point, looked_at()[0])) draw();
  tell();
}

// --- what is looked at ---------------------------------------------------------------------------------

function look(next) {
  const moved = next.range !== view.range || next.from !== view.from || next.to !== view.to;
  view = next;
  window.history.replaceState(null, "", format(view) || location.pathname);
  shown();
  if (moved) refresh();
}

function shown() {
  byId("freeze").setAttribute("aria-pressed", String(frozen(view)));
  text("freeze", frozen(view) ? "Follow" : "Freeze");
  for (const input of document.querySelectorAll("#ranges input")) input.checked = !frozen(view) && input.value === view.range;
  for (const one of document.querySelectorAll(".chosen")) if (one.id !== view.panel) one.classList.remove("chosen");
  for (const button of document.querySelectorAll(".enlarge")) {
    const its = button.closest("figure");
    its.classList.toggle("chosen", its.id === view.panel);
    button.textContent = its.id === view.panel ? "Reduce" : "Enlarge";
  }
  for (const one of document.querySelectorAll("nav a")) {
    if (one.hash === `#${view.panel}`) one.setAttribute("aria-current", "true");
    else one.removeAttribute("aria-current");
  }
}

function go(panel) {
  const place = panel && byId(panel);
  if (!place?.matches("main section, main figure")) return;
  place.scrollIntoView();
  place.focus({ preventScroll: true });
}

// --- history -------------------------------------------------------------------------------------------

async function refresh() {
  if (document.hidden) return;
  const [from, to] = looked_at();
  asked_ms = Date.now();
  asking += 1;
  const mine = asking;
  const request = { from: Math.round(from * NS_PER_MS), points: POINTS_MAX };
  if (frozen(view)) request.to = Math.round(to * NS_PER_MS);
  try {
    const reply = await feed.request("history", request);
    if (mine !== asking) return;
    history.replace(reply);
    draw();
  } catch (error) {
    if (link === "live") text("latency-words", `No history: ${error.message}.`);
  }
}

function draw() {
  const { points, merged } = history;
  const slo = objective();
  const [from, to] = looked_at();
  const x = { type: "date", range: [from, to] };
  const over = (id, make) => board.draw(`${id}-chart`, () => ({ ...make(), x }));
  over("latency", () => series.latency(points, slo));
  over("heat", () => series.heat(points, slo));
  over("load", () => series.load(points));
  over("classes", () => series.classes(points, (slo?.classes ?? []).map((one) => one.target_us)));
  over("conflation", () => series.losses(points, "conflated"));
  over("drops", () => series.losses(points, "dropped"));
  over("steps", () => series.ladder(points));
  over("joined", () => series.connections(points));
  board.draw("percentiles-chart", (width) => series.percentiles(merged, slo, width));
  text("latency-words", series.latencyWords(points, slo));
  text("percentiles-words", series.percentilesWords(merged, slo));
  text("conflation-words", series.lossesWords(points, "conflated"));
  text("drops-words", series.lossesWords(points, "dropped"));
  text("steps-words", series.ladderWords(points));
  const last = points.at(-1);
  text("load-words", last ? `${rate(last.published / last.span_s)} in, ${rate(last.delivered / last.span_s)} out at the end.` : "");
}

// --- each second ---------------------------------------------------------------------------------------

function tell() {
  const at_ms = Date.now();
  const age_s = came_ms === null ? null : (at_ms - came_ms) / 1000;
  const [kind, words] = freshness({ link, age_s, retry_s: Math.max(0, retry_at_ms - at_ms) / 1000, frozen: frozen(view) });
  if (byId("link").className !== kind) byId("link").className = kind;
  text("since", now !== null && young(view, gateway_ms(), started_ms()) ? since((gateway_ms() - started_ms()) / 1000) : "");
  text("link", words);
  const old = age_s !== null && (link !== "live" || age_s >= STALE_S);
  stale(old);
  if (old) document.title = "stale – Tickgate";
}

setInterval(() => {
  tell();
  const due_ms = refreshed_s(RANGES[view.range]) * 1000;
  if (link === "live" && !frozen(view) && Date.now() - asked_ms >= due_ms) refresh();
}, 1000);
document.addEventListener("visibilitychange", () => refresh());

// --- hands ---------------------------------------------------------------------------------------------

function freeze() {
  const [from, to] = looked_at();
  look(frozen(view) ? followed(view) : { ...view, from: Math.round(from), to: Math.round(to) });
}

byId("ranges").addEventListener("change", (event) => look(followed(view, event.target.value)));
byId("freeze").addEventListener("click", freeze);
byId("palette").addEventListener("click", toggle);
document.querySelector("main").addEventListener("click", ({ target }) => {
  if (!target.matches(".enlarge")) return;
  const { id } = target.closest("figure");
  look({ ...view, panel: view.panel === id ? null : id });
  go(id);
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  byId("files").open = false;
  if (view.panel !== null) look({ ...view, panel: null });
});
addEventListener("hashchange", () => {
  const next = parse(location.hash);
  // A bare name is a place on this page: all else stays as it was.
  look(location.hash.includes("=") ? next : { ...view, panel: next.panel });
  go(view.panel);
});
byId("json").addEventListener("click", () => {
  const { points, merged, resolution_s } = history;
  save("json", "application/json", JSON.stringify({ view, now, resolution_s, merged, points }, null, 1));
});
byId("hgrm").addEventListener("click", () => save("hgrm", "text/plain", history.merged?.hgrm ?? ""));

function save(extension, kind, content) {
  const stamp = new Date(gateway_ms()).toISOString().slice(0, 19).replaceAll(":", "");
  download(`tickgate-${stamp}Z.${extension}`, kind, content);
  byId("files").open = false;
}

const named = () => text("palette", dark() ? "Light" : "Dark");
onPalette(named);
named();
shown();
go(view.panel);
feed.connect();
