// Migration matrix, coverage, attribution and evidence.
"use strict";
const COMPARED = 7;

// The source, the target, and the best chips of the families, at most COMPARED.
function comparedRows(found) {
  const answered = found.all.filter((row) => !row.refused);
  const first = [state.source, state.target].map((name) => answered.find((row) => row.chip.name === name));
  const families = FAMILIES.map((family) => found.shown.find((row) => row.chip.family === family));
  return [...new Set([...first, ...families, ...found.shown].filter(Boolean))].slice(0, COMPARED);
}

function drawMatrix([block, found]) {
  const rows = comparedRows(found);
  if (!rows.length) return element("p", {}, titleOf(block) + ": no chip passes the filters at these sizes.");
  const cell = (source, target) => {
    if (source === target) {
      return element("td", {}, element("strong", {}, digits(source.value) + (state.metric === "per_chip" ? "" : " " + unitOf(state.metric))), " ", badge(source.level), element("small", {}, interval(source)));
    }
    const each = ratio(target, source), step = Math.min(3, Math.round(Math.abs(Math.log2(each.value)) * 1.5));
    const css = step === 0 ? "" : (each.value >= 1 ? "tint-d" : "tint-u") + step, arrow = each.value > 1.005 ? " ▲" : each.value < 0.995 ? " ▼" : " =";
    return element("td", { className: css }, element("strong", {}, digits(each.value) + " ×", element("span", { "aria-hidden": "true" }, arrow)), " ", badge(each.level),
      element("small", {}, digits(each.lower) + " to " + digits(each.upper)));
  };
  const note = element("p", {}, "Rows are the source, columns the target. Each cell says how many times as good the target is in " + spoken(state.metric).toLowerCase() +
    " (▲ better, ▼ worse). Its interval takes the worst and best ends of both, so it holds with a probability of at least 80 %.");
  const lines = rows.map((source) => [source.chip.label, ...rows.map((target) => cell(source, target))]);
  const title = titleOf(block) + ": " + settingOf(block, null);
  return element("div", {}, note, table("From row to column. " + title, ["source \\ target", ...rows.map((row) => row.chip.label)], lines, [], "matrix"));
}

function drawCoverage([block]) {
  const found = data.coverage.find((each) => each.model === block.model);
  if (!found) return element("p", {}, "Coverage is known for models of the catalogue; " + titleOf(block) + " is asked for serving only.");
  const families = Object.entries(found.families), runs = ([, each]) => !each.refused && Math.abs(each.shares.native + each.shares.composite - 100) < 1e-9;
  const all = families.filter(runs).map(([family]) => family), rest = families.filter((each) => !runs(each));
  const sentence = all.length ? "Every eager operator call of " + titleOf(block) + " runs on " + all.join(", ") + ": registered by the back end, or composed of registered operators." : "";
  const line = ([family, each]) => (each.refused ? [family, each.refused, "", "", ""] : [family, each.title, digits(each.shares.native) + " %", digits(each.shares.composite) + " %",
    each.lacking.length ? each.lacking.map(([operator, status, calls]) => operator + " (" + status + ", " + calls + " calls)").join(", ") : "none"]);
  const lines = table("Operator calls by support: " + titleOf(block), ["family", "platform", "registered", "composed", "not covered"], families.map(line), [2, 3]);
  return element("div", {}, sentence ? element("p", {}, sentence) : null, rest.length ? element("p", {}, "Not wholly: " + rest.map(([family]) => family).join(", ") + ".") : null, lines);
}

function drawAttribution([block, found], width) {
  const rows = comparedRows(found).filter((row) => row.evidence && row.evidence.shares.length);
  if (!rows.length) return element("p", {}, "No time by operator is known for these chips.");
  const sums = new Map();
  for (const row of rows) for (const [kind, ms] of row.evidence.shares) sums.set(kind, (sums.get(kind) || 0) + ms / total(row));
  const main = [...sums].sort((a, b) => b[1] - a[1]).slice(0, PARTS - 1).map(([kind]) => kind), kinds = [...main, ...(sums.size > main.length ? ["other"] : [])];
  const bars = rows.map((row) => {
    const ms = new Map();
    for (const [kind, each] of row.evidence.shares) ms.set(main.includes(kind) ? kind : "other", (ms.get(main.includes(kind) ? kind : "other") || 0) + each);
    return { name: row.chip.label, ms, shares: new Map([...ms].map(([kind, each]) => [kind, 100 * each / total(row)])) };
  });
  const sizes = settingText(block, block.defaults);
  const what = serving() ? "time of an output token" : "time by operator type", head = serving() ? "part" : "operator type";
  const title = titleOf(block) + ": " + what + ", " + block.phase + ", " + sizes;
  const lines = table("In ms. " + title, [head, ...bars.map((bar) => bar.name)], kinds.map((kind) => [kind, ...bars.map((bar) => digits(bar.ms.get(kind) ?? 0))]), bars.map((_, at) => at + 1));
  return element("div", {}, element("p", {}, "Where the predicted time goes at the model's default sizes (" + sizes + "), whatever the controls say. hetbench explain and hetbench report attribute the difference between two chips."),
    figure(sharesChart(bars, kinds, width), title, title + ". The table below holds every number.", "attribution-" + block.model), legend(kinds.map((kind, at) => [swatch("var(--part-" + at + ")"), kind])), lines);
}

const total = (row) => row.evidence.shares.reduce((sum, [, ms]) => sum + ms, 0);

function drawEvidence([block, found]) {
  const rows = comparedRows(found).filter((row) => row.evidence);
  const text = (row) => element("td", {}, element("ul", {}, ...row.evidence.notes.map((note) => element("li", {}, note)), ...row.evidence.refs.map((ref) => element("li", {}, reference(ref)))));
  const lines = rows.map((row) => [row.chip.label, row.evidence.kind, badge(row.level), row.evidence.stack, String(row.evidence.support ?? "–"), text(row)]);
  const sizes = settingText(block, block.defaults);
  const page = modelNamed(block.model).page ? element("p", {}, element("a", { href: "models/" + block.model + ".html" }, "All published measurements and operator coverage of " + titleOf(block))) : null;
  return element("div", {}, page, rows.length ? table("Evidence of " + titleOf(block) + " at " + sizes, ["chip", "kind", "level here", "stack", "supporting rows", "notes and references"], lines, [4]) : element("p", {}, titleOf(block) + ": no answer is shown."));
}

function reference(ref) {
  const found = /^([\w.-]+\/[\w.-]+)@([0-9a-f]{7,40}):([^#\s()]+)/.exec(ref);
  return found ? element("a", { rel: "noreferrer", href: "https://github.com/" + found[1] + "/blob/" + found[2] + "/" + found[3] }, ref) : ref;
}

function drawErrors() {
  const percent = (each) => digits(100 * (Math.exp(each) - 1)) + " %";
  const lines = data.errors.map((each) => [spoken(each.phase), String(each.points), percent(each.median), percent(each.p90), percent(each.largest), String(each.measured)]);
  return table("Distance from hetbench query half-way between grid points", ["phase", "points", "median", "90 % are below", "largest", "where a published row answers"], lines, [1, 2, 3, 4, 5]);
}
