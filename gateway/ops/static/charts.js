// Draws charts with plotly.js: only those that can be seen, one a turn, so that the page stays quick to
// the touch whatever comes. What a chart shows is made when its turn comes, not before.

import { onPalette } from "./palette.js";

const ROLES = {
  main: "--one", half: "--two", rare: "--three", max: "--faint", limit: "--limit",
  class0: "--one", class1: "--two", class2: "--three", class3: "--four",
};
// A plot is as large as its place: the board says so, since plotly.js looks at the window alone.
const CONFIG = { responsive: false, displaylogo: false, displayModeBar: false, doubleClick: false, scrollZoom: false };

export class Board {
  // `zoomed(from_ms, to_ms)` is called when a piece of a chart over time was chosen, `released()` when it
  // was double-clicked.
  constructor({ zoomed, released }) {
    Object.assign(this, { zoomed, released });
    this.makers = new Map(); // id -> what makes its drawing
    this.waiting = new Set();
    this.seen = new Set();
    this.plotly = null;
    this.turn = null;
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.seen.add(target.id);
        else this.seen.delete(target.id);
      }
      this.next();
    }, { rootMargin: "200px" });
    // Enlarged, reduced, a window made narrower, a scroll bar that came: drawn again at the new size.
    this.sizes = new ResizeObserver((entries) => {
      for (const { target } of entries) this.waiting.add(target.id);
      this.next();
    });
    onPalette(() => this.redraw());
    document.addEventListener("visibilitychange", () => this.next());
  }

  // plotly.js is there now: what was asked for meanwhile is drawn.
  start(plotly) {
    this.plotly = plotly;
    for (const place of document.querySelectorAll(".chart")) place.replaceChildren();
    this.next();
  }

  // Draws, when it can be seen, what `make(width)` gives: {traces, x, y, drawn, empty}, `empty` being what
  // stands in place of a chart without traces.
  draw(id, make) {
    if (!this.makers.has(id)) {
      for (const watcher of [this.watcher, this.sizes]) watcher.observe(document.getElementById(id));
    }
    this.makers.set(id, make);
    this.waiting.add(id);
    this.next();
  }

  redraw() {
    this.colours = null;
    for (const id of this.makers.keys()) this.waiting.add(id);
    this.next();
  }

  next() {
    if (this.turn !== null || this.plotly === null || document.hidden) return;
    const id = [...this.waiting].find((one) => this.seen.has(one));
    if (id === undefined) return;
    this.turn = setTimeout(() => {
      this.turn = null;
      this.waiting.delete(id);
      this.paintOf(id);
      this.next();
    }, 0);
  }

  paintOf(id) {
    const place = document.getElementById(id);
    this.paint(place, this.makers.get(id)(place.clientWidth));
  }

  paint(place, { traces, x = { type: "date" }, y = {}, drawn, empty = "No figures of this time." }) {
    const colour = this.colours ??= palette();
    const axis = (own) => ({
      gridcolor: colour["--line"], linecolor: colour["--line"], zeroline: false, automargin: true, ...own,
    });
    const time = x.type === "date";
    const layout = {
      width: place.clientWidth, height: place.clientHeight, autosize: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: colour["--soft"] },
      margin: { l: 52, r: 12, t: 6, b: 28 },
      showlegend: traces.length > 1,
      legend: { orientation: "h", y: 1.01, yanchor: "bottom", x: 0, traceorder: "normal" },
      hoverlabel: { bgcolor: colour["--card"], bordercolor: colour["--line"], font: { color: colour["--ink"] }, align: "left" },
      hovermode: time && traces[0]?.type !== "heatmap" ? "x unified" : "closest",
      barmode: "stack", bargap: 0, dragmode: time ? "zoom" : false,
      xaxis: axis({ ...x, ...(time ? { hoverformat: "%H:%M:%S UTC" } : {}) }),
      yaxis: axis({ fixedrange: true, ...y }),
    };
    if (!time) layout.xaxis.fixedrange = true;
    if (traces.length === 0) {
      Object.assign(layout.yaxis, { showticklabels: false, showgrid: false });
      const middle = { xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false };
      layout.annotations = [{ ...middle, text: empty, font: { size: 13, color: colour["--soft"] } }];
    }
    const first = place.dataset.points === undefined;
    this.plotly.react(place, traces.map((trace) => painted(trace, colour)), layout, CONFIG);
    place.dataset.points = String(drawn);
    if (first && time) this.follow(place);
  }

  follow(place) {
    place.on("plotly_relayout", (change) => {
      const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (from !== undefined && to !== undefined) this.zoomed(milliseconds(from), milliseconds(to));
    });
    place.on("plotly_doubleclick", () => this.released());
  }
}

// plotly.js tells times of day as it shows them: in UTC, without saying so.
export const milliseconds = (text) => (typeof text === "number" ? text : Date.parse(`${text.trim().replace(" ", "T").replace(/^(\d{4}-\d\d-\d\d)$/, "$1T00:00")}Z`));

function painted({ role, width = 1.6, dash, shape, symbol, size, ...trace }, colour) {
  const own = colour[ROLES[role]];
  if (role === "heat") {
    return { ...trace, colorscale: [[0, colour["--heat0"]], [0.5, colour["--heat1"]], [1, colour["--heat2"]]] };
  }
  if (trace.type === "bar") return { ...trace, marker: { color: own, line: { width: 0 } } };
  return {
    ...trace,
    line: { width, color: own, ...(dash && { dash }), ...(shape && { shape }) },
    marker: { color: own, ...(symbol && { symbol, size }) },
    ...(trace.fill && { fillcolor: translucent(own) }),
  };
}

// The page's colours, resolved: a custom property by itself is only its text.
function palette() {
  const probe = document.body.appendChild(document.createElement("i"));
  const names = new Set([...Object.values(ROLES), "--line", "--soft", "--card", "--ink", "--heat0", "--heat1", "--heat2"]);
  const found = {};
  for (const name of names) {
    probe.style.color = `var(${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

const translucent = (colour) => colour.replace(/^rgb\((.*)\)$/, "rgba($1, 0.18)");
