// What is looked at, as the part of the address after its #: a link keeps the view. Pure.

export const RANGES = { "5m": 300, "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400 };
export const DEFAULT = Object.freeze({ range: "15m", from: null, to: null, panel: null });
const SPAN_MIN_MS = 5000;
const NAME = /^[a-z]{1,20}$/;

// `from` and `to` are milliseconds since the epoch where the view is frozen, and null where it follows.
export function parse(fragment) {
  const text = fragment.replace(/^#/, "");
  if (NAME.test(text)) return { ...DEFAULT, panel: text };
  const fields = new URLSearchParams(text);
  const view = { ...DEFAULT };
  if (Object.hasOwn(RANGES, fields.get("range"))) view.range = fields.get("range");
  const [from, to] = [Number(fields.get("from")), Number(fields.get("to"))];
  if (from > 0 && to - from >= SPAN_MIN_MS && to < 1e14) Object.assign(view, { from, to });
  if (NAME.test(fields.get("panel") ?? "")) view.panel = fields.get("panel");
  return view;
}

export function format(view) {
  const fields = new URLSearchParams();
  if (view.range !== DEFAULT.range) fields.set("range", view.range);
  if (frozen(view)) {
    fields.set("from", String(Math.round(view.from)));
    fields.set("to", String(Math.round(view.to)));
  }
  if (view.panel !== null) fields.set("panel", view.panel);
  const text = fields.toString();
  return text && `#${text}`;
}

export const frozen = (view) => view.from !== null;

// The window in milliseconds, of a view that follows or of one that is frozen. A gateway that is younger
// than the range is shown since its start: before it there is nothing to see.
export function bounds(view, now_ms, started_ms = -Infinity) {
  if (frozen(view)) return [view.from, view.to];
  return [Math.max(now_ms - RANGES[view.range] * 1000, Math.min(started_ms, now_ms - SPAN_MIN_MS)), now_ms];
}

// Whether the start of the gateway cuts the window short.
export const young = (view, now_ms, started_ms) => !frozen(view) && now_ms - started_ms < RANGES[view.range] * 1000;

// A piece of a chart, as wide as makes sense.
export function zoomed(view, from, to) {
  const missing = Math.max(0, SPAN_MIN_MS - (to - from)) / 2;
  return { ...view, from: Math.round(from - missing), to: Math.round(to + missing) };
}

export const followed = (view, range = view.range) => ({ ...view, range, from: null, to: null });
