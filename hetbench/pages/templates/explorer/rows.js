// One row for each chip: the answer under the chosen setting, and what the filters say about it.
"use strict";

function metricAt(block, chip, variant, sizes, metric) {
  if (metric === "per_chip" || (metric === "throughput" && !serving())) return derived(block, chip, variant, sizes, metric);
  return answerAt(block, metric, chip, variant, sizes);
}

// Throughput of a call is exact arithmetic on its latency; throughput per chip divides that of the deployment.
function derived(block, chip, variant, sizes, metric) {
  if (metric === "per_chip") {
    const whole = answerAt(block, "throughput", chip, variant, sizes), by = block.variants[variant].chips;
    return whole.refused ? whole
      : { ...whole, value: whole.value / by, lower: whole.lower / by, upper: whole.upper / by };
  }
  const call = answerAt(block, "latency", chip, variant, sizes);
  if (call.refused) return call;
  const work = 1000 * sizes.batch * (block.phase === "prefill" ? sizes.seq_len : 1);
  return { ...call, value: work / call.value, lower: work / call.upper, upper: work / call.lower };
}

function rowOf(block, chip) {
  let row = null;
  for (const variant of variantsMeant(block, data.chips[chip])) {
    const answer = metricAt(block, chip, variant, state.sizes, state.metric);
    row = { block, chip: data.chips[chip], place: chip, variant, evidence: evidenceOf(block, chip, variant), ...answer };
    if (!answer.refused) break;
  }
  if (!row) return { block, chip: data.chips[chip], place: chip, refused: "this precision is not part of this page" };
  if (row.refused) return row;
  row.kind = !row.onGrid ? "interpolated" : row.level === "A" ? "measured" : "predicted";
  const deadline = answerAt(block, serving() ? (state.metric === "ttft" ? "ttft" : "tpot") : "latency", chip, row.variant,
    state.sizes);
  row.time = deadline;
  row.meets = meets(deadline);
  row.memory = memoryAt(block, row.variant, state.sizes);
  row.share = row.memory && row.chip.mem_gb ? row.memory / 1000 / row.chip.mem_gb : null;
  return row;
}

// Whether the deadline is met: by the whole interval, by the value, by the lower bound only, or not.
function meets(time) {
  const limit = Number(state.deadline);
  if (!(limit > 0) || time.refused) return "";
  return time.upper <= limit ? "yes" : time.value <= limit ? "likely" : time.lower <= limit ? "unlikely" : "no";
}

function reasonHidden(row) {
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = [row.chip.name, row.chip.label, row.chip.vendor, row.chip.arch, row.chip.kind].join(" ").toLowerCase();
  if (state.families.length && !state.families.includes(row.chip.family)) return "family";
  if (Number(state.memory) > 0 && !(row.chip.mem_gb >= Number(state.memory))) return "memory";
  if (!words.every((word) => text.includes(word))) return "search";
  if (row.refused) return "refused";
  if (state.level && !(row.level && row.level <= state.level)) return "evidence level";
  if (state.fits && row.share !== null && row.share > 0.9) return "does not fit";
  if (["unlikely", "no"].includes(row.meets)) return "deadline";
  return "";
}

function ranked(block) {
  const all = data.chips.map((_, chip) => rowOf(block, chip));
  for (const row of all) row.hidden = reasonHidden(row);
  const sign = better() === "higher" ? -1 : 1;
  const shown = all.filter((row) => !row.hidden).sort((a, b) => sign * (a.value - b.value));
  shown.forEach((row, at) => { row.rank = at + 1; });
  return { shown, hidden: all.filter((row) => row.hidden), all };
}

// How many times as good `target` is as `source` (above 1 is better), with the interval of the quotient.
function ratio(target, source) {
  const down = better() === "lower", [over, under] = down ? [source, target] : [target, source];
  return { value: over.value / under.value, lower: over.lower / under.upper, upper: over.upper / under.lower,
    level: [target.level, source.level].filter(Boolean).sort().pop() || "" };
}

function pareto(points) {
  const order = [...points].sort((a, b) => a.x - b.x || b.y - a.y);
  let best = -Infinity;
  return order.filter((point) => point.gain > best && ((best = point.gain), true));
}
