// Figures: Observable Plot draws them; every figure has a role, a label, a title, and buttons that save it.
"use strict";
const FAMILIES = ["cuda", "rocm", "oneapi", "cann", "mlu"];
const SYMBOLS = { cuda: "circle", rocm: "square", oneapi: "triangle", cann: "diamond", mlu: "star", other: "times" };
const colour = (family) => (FAMILIES.includes(family) ? "var(--" + family + ")" : "var(--faint)");
const PARTS = 8;

function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key in made) made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Ticks of a logarithmic axis at 1, 2 and 5 of each decade, or at decades, that have room for their labels.
function logTicks(low, high, width) {
  const most = Math.max(2, Math.floor(width / 64));
  const decades = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) decades.push(power);
  for (const steps of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = decades.flatMap((power) => steps.map((step) => step * 10 ** power))
      .filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
    if (ticks.length <= most) return ticks;
  }
  const all = decades.map((power) => 10 ** power).filter((tick) => tick >= low && tick <= high);
  return all.filter((_, at) => at % Math.ceil(all.length / most) === 0);
}

const TICKS = { 1e3: "k", 1e6: "M", 1e9: "G" };
function tickText(value) {
  const size = [1e9, 1e6, 1e3].find((each) => value >= each * 10);
  return size ? digits(value / size) + TICKS[size] : digits(value);
}

function logScale(numbers, width) {
  const known = numbers.filter((value) => value > 0 && Number.isFinite(value));
  const low = Math.min(...known) / 1.12, high = Math.max(...known) * 1.12;
  return { scale: { type: "log", domain: [low, high] }, ticks: logTicks(low, high, width) };
}

// A figure with its caption and the buttons that save it; `drawn` is an SVG of Plot.
function figure(drawn, title, label, name) {
  const svg = drawn.tagName.toLowerCase() === "svg" ? drawn : drawn.querySelector("svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  svg.prepend(svgTitle(title));
  for (const inner of svg.querySelectorAll("[aria-label]")) inner.removeAttribute("aria-label");
  const save = (kind) => element("button", { type: "button", className: "save", textContent: kind,
    "aria-label": "Save the figure as " + kind + ": " + title, onclick: () => saveFigure(svg, name, kind) });
  return element("figure", {}, element("figcaption", {}, title, element("span", { className: "saves" }, save("SVG"), save("PNG"))),
    drawn);
}

function svgTitle(text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "title");
  made.textContent = text;
  return made;
}

// Value and interval of each chip on one logarithmic axis.
function rankingChart(rows, block, width) {
  const narrow = width < 560, step = narrow ? 34 : 25, left = narrow ? 8 : 178, right = narrow ? 14 : 72;
  const { scale, ticks } = logScale(rows.flatMap((row) => [row.value, row.lower, row.upper]), width - left - right);
  const name = (row) => row.chip.label, limit = Number(state.deadline);
  const timed = ["latency", "tpot", "ttft"].includes(state.metric);
  const labels = narrow
    ? Plot.text(rows, { y: name, text: (row) => row.rank + ". " + row.chip.label + ": " + digits(row.value), frameAnchor: "left",
      dy: -12, textAnchor: "start", fill: "var(--ink)" })
    : Plot.text(rows, { y: name, x: "upper", text: (row) => digits(row.value), dx: 8, textAnchor: "start", fill: "var(--ink)" });
  return Plot.plot({
    width, height: rows.length * step + 54, marginLeft: left, marginRight: right, marginTop: 8, marginBottom: 44,
    style: { fontSize: "13px", background: "none", color: "var(--ink)" },
    x: { ...scale, label: null }, y: { domain: rows.map(name), label: null, axis: narrow ? null : "left", tickSize: 0, padding: 0.2 },
    marks: [
      Plot.gridX(ticks, { stroke: "var(--line)", strokeOpacity: 1 }),
      Plot.axisX(ticks, { text: tickText, label: spoken(state.metric) + ", " + unitOf(state.metric) + " (log scale)",
        labelAnchor: "center", labelArrow: "none", tickSize: 4 }),
      timed && limit > 0 ? Plot.ruleX([limit], { stroke: "var(--point)", strokeDasharray: "4,3" }) : null,
      Plot.ruleY(rows, { y: name, x1: "lower", x2: "upper", stroke: (row) => colour(row.chip.family), strokeWidth: 6,
        strokeOpacity: 0.35, strokeLinecap: "round" }),
      Plot.dot(rows, { y: name, x: "value", r: 5, symbol: (row) => SYMBOLS[row.chip.family] || "times", fill: (row) =>
        (row.kind === "measured" ? "var(--paper)" : colour(row.chip.family)), stroke: (row) => colour(row.chip.family),
        strokeWidth: 2 }),
      labels,
    ],
    symbol: { type: "identity" }, color: { type: "identity" },
  });
}

// Two quantities against one another on logarithmic axes; chips that no other beats in both are joined and named.
function paretoChart(points, front, texts, width) {
  const height = Math.max(300, Math.min(460, width * 0.6)), left = 62;
  const horizontal = logScale(points.map((point) => point.x), width - left - 30);
  const vertical = logScale(points.map((point) => point.y), height * 1.3);
  const named = uncrowded(front, horizontal.scale.domain, vertical.scale.domain, width - left - 30, height - 62);
  return Plot.plot({
    width, height, marginLeft: left, marginRight: 30, marginTop: 30, marginBottom: 44,
    style: { fontSize: "13px", background: "none", color: "var(--ink)" },
    x: { ...horizontal.scale, label: null }, y: { ...vertical.scale, label: null },
    symbol: { type: "identity" }, color: { type: "identity" },
    marks: [
      Plot.gridX(horizontal.ticks, { stroke: "var(--line)", strokeOpacity: 1 }), Plot.gridY(vertical.ticks, { stroke: "var(--line)", strokeOpacity: 1 }),
      Plot.axisX(horizontal.ticks, { text: tickText, label: texts.x, labelAnchor: "center", labelArrow: "none" }),
      Plot.axisY(vertical.ticks, { text: tickText, label: texts.y, labelArrow: "none" }),
      texts.lines ? Plot.line(points, { x: "x", y: "y", z: (point) => point.row.chip.label, stroke: (point) => colour(point.row.chip.family),
        strokeOpacity: 0.35 }) : null,
      Plot.line(front, { x: "x", y: "y", stroke: "var(--ink)", strokeDasharray: "2,3", curve: texts.lines ? "linear" : "step-after" }),
      Plot.dot(points, { x: "x", y: "y", r: (point) => (front.includes(point) ? 6 : 4), symbol: (point) => SYMBOLS[point.row.chip.family] || "times",
        fill: (point) => colour(point.row.chip.family), fillOpacity: (point) => (front.includes(point) ? 1 : 0.45), stroke: (point) => colour(point.row.chip.family) }),
      ...["start", "middle", "end"].map((anchor) => Plot.text(named.filter((point) => point.anchor === anchor), { x: "x", y: "y",
        text: "name", dy: -12, textAnchor: anchor, fill: "var(--ink)", stroke: "var(--paper)", strokeWidth: 3 })),
      Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: (point) => point.name + "\n" + digits(point.x) + " · " + digits(point.y),
        fill: "var(--paper)", stroke: "var(--faint)" })),
    ],
    r: { type: "identity" },
  });
}

// Points whose label does not cover that of another, placed so that it stays inside the frame.
function uncrowded(front, [left, right], [low, high], width, height) {
  const taken = [];
  return front.map((each) => {
    const point = { ...each, name: width < 500 ? each.name.replace(/^\S+ /, "") : each.name };
    const x = width * Math.log(point.x / left) / Math.log(right / left), y = height * Math.log(point.y / low) / Math.log(high / low);
    const size = point.name.length * 8, anchor = x < size / 2 + 4 ? "start" : x > width - size / 2 - 24 ? "end" : "middle";
    const from = anchor === "start" ? x : anchor === "end" ? x - size : x - size / 2;
    const box = [from, y, from + size, y + 19];
    if (from < -4 || from + size > width + 24) return null;
    if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) return null;
    taken.push(box);
    return { ...point, anchor };
  }).filter(Boolean);
}

// Share of the time by operator type, one bar a chip.
function sharesChart(bars, kinds, width) {
  const narrow = width < 560, left = narrow ? 8 : 178, names = bars.map((bar) => bar.name);
  const parts = bars.flatMap((bar) => kinds.map((kind) => ({ name: bar.name, kind, share: bar.shares.get(kind) || 0, ms: bar.ms.get(kind) || 0 })));
  return Plot.plot({
    width, height: bars.length * (narrow ? 44 : 30) + 50, marginLeft: left, marginRight: 20, marginTop: narrow ? 20 : 8, marginBottom: 40,
    style: { fontSize: "13px", background: "none", color: "var(--ink)" },
    x: { domain: [0, 100], label: "share of the time, %", labelAnchor: "center", labelArrow: "none", ticks: narrow ? 4 : 10 },
    y: { domain: names, label: null, axis: narrow ? null : "left", tickSize: 0, padding: narrow ? 0.45 : 0.25 },
    color: { domain: kinds, range: kinds.map((_, at) => "var(--part-" + at + ")") },
    marks: [
      Plot.barX(parts, { y: "name", x: "share", fill: "kind", stroke: "var(--paper)", strokeWidth: 1, order: kinds }),
      narrow ? Plot.text(bars, { y: "name", text: "name", frameAnchor: "left", textAnchor: "start", dy: -18, fill: "var(--ink)" }) : null,
    ],
  });
}

function legend(entries) {
  return element("p", { className: "legend" }, ...entries.map(([shape, text]) => element("span", {}, shape, text)));
}

function swatch(fill) {
  const made = element("span", { className: "swatch", "aria-hidden": "true" });
  made.style.background = fill;
  return made;
}
