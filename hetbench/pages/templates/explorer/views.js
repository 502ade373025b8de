// The sections of the page, drawn anew after every change.
"use strict";

function badge(level) {
  return level ? element("abbr", { className: "level level-" + level.toLowerCase(), title: "level " + level + ": " + data.levels[level] }, level)
    : element("span", {}, "–");
}

const interval = (row) => (row.bounded ? digits(row.lower) + " to " + digits(row.upper) : "");
const titleOf = (block) => modelNamed(block.model).title;

function settingOf(block, row) {
  const own = row && row.evidence ? row.evidence.precision : state.variant === "default" ? "each chip's precision" : state.variant;
  const precision = serving() ? variantLabel(block, state.variant) : own;
  return spoken(block.phase).toLowerCase() + ", " + settingText(block) + ", " + precision;
}

// "AMD MI300X: 1.3 × [0.9, 1.9] the speed of NVIDIA A100 SXM4 80GB ..., level C"
function comparison(block, target, source) {
  const found = ratio(target, source);
  const what = { latency: "the speed", tpot: "the token rate of one request", ttft: "the speed to the first token", throughput: "the throughput",
    per_chip: "the throughput per chip", energy: "the energy economy" }[state.metric];
  const mixed = (target.kind === "measured") !== (source.kind === "measured")
    ? " One side is a published measurement, the other is not." : "";
  return target.chip.label + ": " + digits(found.value) + " × [" + digits(found.lower) + ", " + digits(found.upper) + "] " + what + " of " +
    source.chip.label + (found.level ? ", level " + found.level : "") + "." + mixed;
}

function headline(block, found) {
  const source = found.all.find((row) => row.chip.name === state.source), best = found.shown.find((row) => row !== source) || found.shown[0];
  const target = found.all.find((row) => row.chip.name === state.target) || best;
  const about = titleOf(block) + " (" + settingOf(block, target) + "): ";
  if (!target) return [about + "no chip passes the filters."];
  if (target.refused) return [about + target.chip.label + " is refused: " + target.refused];
  const figure = spoken(state.metric).toLowerCase() + " " + digits(target.value) + " " + unitOf(state.metric) +
    (target.bounded ? " [" + digits(target.lower) + ", " + digits(target.upper) + "]" : "");
  if (source.refused) return [about + target.chip.label + ": " + figure + ". The source " + source.chip.label + " is refused: " + source.refused];
  const best5 = FAMILIES.map((family) => found.shown.find((row) => row.chip.family === family && row !== source && row !== target))
    .filter(Boolean).map((row) => comparison(block, row, source));
  return [about + (target === source ? target.chip.label + ": " + figure + "." : comparison(block, target, source)), ...best5];
}

function drawHeadlines(results) {
  $("headline").replaceChildren(...results.map(([block, found]) => {
    const [first, ...rest] = headline(block, found);
    return element("div", {}, element("p", { className: "headline" }, first),
      rest.length ? element("details", {}, element("summary", {}, "The best chip of each family"), element("ul", {}, ...rest.map((text) => element("li", {}, text)))) : null);
  }));
}

const SHORT = 20;

function drawRanking([block, found], width) {
  const rows = state.all ? found.shown : found.shown.slice(0, SHORT);
  if (!rows.length) return element("p", {}, titleOf(block) + ": no chip passes the filters at these sizes" + (found.hidden[0] && found.hidden[0].refused ? " (" + found.hidden[0].refused + ")." : "."));
  const title = titleOf(block) + ": " + spoken(state.metric).toLowerCase() + ", " + settingOf(block, null);
  const label = title + ". " + rows.length + " chips, best first; best " + rows[0].chip.label + " with " + digits(rows[0].value) + " " +
    unitOf(state.metric) + ". The table below holds every number.";
  return element("div", {}, figure(rankingChart(rows, block, width), title, label, "ranking-" + block.model.replace("/", "-")),
    familyLegend(), rankingTable(block, found, rows));
}

function familyLegend() {
  const seen = [...new Set(data.chips.map((chip) => chip.family))];
  return legend([...seen.map((family) => [element("span", { className: "mark", "aria-hidden": "true", style: "color:" + colour(family) }, MARKS[family] || "×"), family]),
    ["bar: ", "90 % interval"], ["hollow: ", "published measurement"]]);
}
const MARKS = { cuda: "●", rocm: "■", oneapi: "▲", cann: "◆", mlu: "★" };

function rankingTable(block, found, rows) {
  const timed = Number(state.deadline) > 0;
  const heads = ["chip", spoken(state.metric).toLowerCase() + ", " + unitOf(state.metric), "90 % interval", "level", "kind", "precision", "stack",
    ...(block.phase === "serving" ? [] : ["memory used"]), ...(timed ? ["meets deadline"] : [])];
  const line = (row) => [row.rank + ". " + row.chip.label, digits(row.value), interval(row), badge(row.level), row.kind,
    row.evidence ? row.evidence.precision : "–", row.evidence ? row.evidence.stack : "–",
    ...(block.phase === "serving" ? [] : [row.share === null ? "–" : digits(100 * row.share) + " %"]), ...(timed ? [row.meets] : [])];
  const left = found.hidden.length ? element("details", {}, element("summary", {}, found.hidden.length + (found.hidden.length === 1 ? " chip" : " chips") + " left out, with the reason"),
    element("ul", {}, ...reasons(found.hidden))) : null;
  const more = found.shown.length > SHORT ? element("button", { type: "button", onclick: () => { state.all = !state.all; changed(); } },
    state.all ? "Show the best " + SHORT : "Show all " + found.shown.length + " chips") : null;
  return element("div", {}, table("Ranking of " + titleOf(block), heads, rows.map(line), [1]), more, left);
}

function reasons(hidden) {
  const by = new Map();
  for (const row of hidden) {
    const why = row.hidden === "refused" ? row.refused.replaceAll(row.chip.name, "it") : "left out by the filter: " + row.hidden;
    by.set(why, [...(by.get(why) || []), row.chip.label]);
  }
  return [...by].map(([why, chips]) => element("li", {}, chips.join(", ") + ": " + why));
}

// A table in a region that scrolls by itself; the first column names the row, `numbers` are right-aligned columns.
function table(caption, heads, lines, numbers = [], css = "") {
  const cell = (value, at) => (at === 0 ? element("th", { scope: "row" }, value)
    : value instanceof Node && value.tagName === "TD" ? value : element("td", { className: numbers.includes(at) ? "number" : "" }, value));
  return element("div", { className: "wide", tabIndex: 0, role: "region", "aria-label": caption },
    element("table", { className: css }, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...lines.map((line) => element("tr", {}, ...line.map(cell))))));
}

function drawPareto([block, found], width) {
  const points = block.phase === "serving" ? servingPoints(block, found) : energyPoints(block, found);
  const texts = block.phase === "serving"
    ? { x: "time per output token, ms (log scale)", y: "tokens/s per chip", lines: true, about: "throughput per chip against time per output token at every number of requests in flight of the grid, " }
    : { x: "latency, ms (log scale)", y: "energy of one call, J (log scale)", about: "latency against energy, " };
  if (points.length < 2) return element("p", {}, titleOf(block) + ": fewer than two chips have both quantities under these filters.");
  const front = pareto(points), title = titleOf(block) + ": " + texts.about + settingOf(block, null).replace(/, [^,]*flight/, "");
  const label = title + ". No chip beats these in both: " + front.map((point) => point.name).join(", ") + ". The table below lists them.";
  const head = block.phase === "serving" ? ["chip, requests in flight", "ms per token", "tokens/s per chip"] : ["chip", "latency, ms", "energy, J"];
  return element("div", {}, figure(paretoChart(points, front, texts, width), title, label, "pareto-" + block.model.replace("/", "-")),
    familyLegend(), element("details", {}, element("summary", {}, "Table of the " + front.length + " points that no other beats in both"),
      table("Pareto front of " + titleOf(block), head, front.map((point) => [point.name, digits(point.x), digits(point.y)]), [1, 2])));
}

function energyPoints(block, found) {
  return found.shown.map((row) => ({ row, energy: answerAt(block, "energy", row.place, row.variant, state.sizes) }))
    .filter(({ row, energy }) => !energy.refused && !row.time.refused)
    .map(({ row, energy }) => ({ row, name: row.chip.label, x: row.time.value, y: energy.value, gain: -energy.value }));
}

function servingPoints(block, found) {
  return found.shown.flatMap((row) => block.axes.concurrency.map((concurrency) => {
    const sizes = { ...state.sizes, concurrency };
    const x = answerAt(block, "tpot", row.place, row.variant, sizes), y = metricAt(block, row.place, row.variant, sizes, "per_chip");
    return x.refused || y.refused ? null : { row, name: row.chip.label + ", " + concurrency, x: x.value, y: y.value, gain: y.value };
  })).filter(Boolean);
}
