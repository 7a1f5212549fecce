// Tables and texts in the page. Everything goes into text nodes, and only what has changed is touched:
// a selection stays, and a screen reader is not told the same again.

export const byId = (id) => document.getElementById(id);

export function text(id, value) {
  const element = byId(id);
  if (element.textContent !== value) element.textContent = value;
}

// A figure that programs can read too: <data value="410.2">410 µs</data>.
export function figure(id, value, words) {
  const element = byId(id);
  if (element.value !== String(value ?? "")) element.value = String(value ?? "");
  if (element.textContent !== words) element.textContent = words;
}

// `rows` of cells: a text, or {text, kind, title, bar}. A table without rows says `empty`.
export function fill(id, rows, empty = "none") {
  const body = byId(id);
  const head = [...body.parentNode.tHead.rows[0].cells];
  const shown = rows.length > 0 ? rows : [[{ text: empty, wide: head.length }]];
  while (body.rows.length > shown.length) body.deleteRow(-1);
  shown.forEach((cells, r) => {
    const row = body.rows[r] ?? body.insertRow();
    while (row.cells.length > cells.length) row.deleteCell(-1);
    cells.forEach((content, c) => {
      const cell = row.cells[c] ?? insert(row, c, rows.length > 0);
      set(cell, typeof content === "object" && content !== null ? content : { text: content }, head[c]?.className ?? "");
    });
  });
}

function insert(row, place, heads) {
  if (place > 0 || !heads) return row.insertCell();
  const cell = row.appendChild(document.createElement("th"));
  cell.scope = "row";
  return cell;
}

function set(cell, { text: words, kind = "", title = "", wide = 1, bar }, column) {
  const classes = `${column} ${kind}`.trim();
  if (cell.className !== classes) cell.className = classes;
  if (cell.title !== title) cell.title = title;
  if (cell.colSpan !== wide) cell.colSpan = wide;
  if (bar !== undefined) return draw(cell, bar);
  const value = String(words ?? "");
  if (cell.textContent !== value) cell.textContent = value;
  return undefined;
}

// From p50 to p99 a band, and a mark at the longest; places are shares of the width.
function draw(cell, { from, to, most }) {
  if (cell.firstElementChild === null) {
    const bar = cell.appendChild(document.createElement("span"));
    bar.className = "span";
    bar.append(document.createElement("i"), document.createElement("b"));
  }
  cell.firstElementChild.classList.toggle("none", most === null);
  const { style } = cell.firstElementChild;
  style.setProperty("--from", String(from));
  style.setProperty("--to", String(to));
  style.setProperty("--most", String(most));
}

export function stale(yes) {
  document.body.classList.toggle("stale", yes);
}

// Gives the browser a file of this text.
export function download(name, kind, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
