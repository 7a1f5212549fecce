"use strict";
// Draws what the page brings along in #charts, in the page's own colours, dark or light.
const charts = JSON.parse(document.getElementById("charts").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

function draw() {
  const style = getComputedStyle(document.documentElement);
  const colour = (role) => style.getPropertyValue(`--${role}`).trim();
  const axis = (own) => ({
    gridcolor: colour("line"), linecolor: colour("line"), zeroline: false, automargin: true,
    fixedrange: false, ...own,
  });
  for (const { id, traces, x, y } of charts) {
    const painted = traces.map(({ role, ...trace }) => ({
      ...trace,
      line: { width: 2, ...trace.line, color: colour(role) },
      marker: { ...trace.marker, color: colour(role) },
    }));
    const layout = {
      paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: { family: "system-ui, sans-serif", size: 12, color: colour("soft") },
      margin: { l: 56, r: 16, t: 8, b: 44 },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
      hovermode: "closest", bargap: 0.3,
      xaxis: axis(x), yaxis: axis(y),
    };
    Plotly.react(id, painted, layout, {
      responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"],
    });
  }
}

draw();
dark.addEventListener("change", draw);
