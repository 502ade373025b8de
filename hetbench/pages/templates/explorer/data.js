// The data of the explorer: arrays are unpacked once, every answer is then looked up or interpolated here.
// hetbench/pages/explorer/interpolation.py states the same rule in Python and measures its error.
"use strict";
const LEVEL_COUNT = 5;
let data, values, marks;
const blocks = new Map();

async function unpack(text, bytes) {
  const raw = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = planes.length / bytes, whole = new Uint8Array(planes.length);
  for (let plane = 0; plane < bytes; plane++) {
    for (let at = 0; at < count; at++) whole[at * bytes + plane] = planes[plane * count + at];
  }
  return whole.buffer;
}

async function load() {
  data = JSON.parse(document.getElementById("data").textContent);
  const [floats, codes] = await Promise.all([unpack(data.values, 4), unpack(data.packed_marks, 2)]);
  values = new Float32Array(floats);
  marks = new Uint16Array(codes);
  for (const block of data.blocks) {
    block.names = Object.keys(block.axes);
    block.cells = block.names.reduce((product, name) => product * block.axes[name].length, 1);
    block.series = data.chips.length * block.variants.length * block.cells;
    blocks.set(block.model + "|" + block.phase, block);
  }
}

// Places of an axis around a size, at most `points`, with their weights: Lagrange's, in the logarithm of the size.
function neighbours(axis, size, points) {
  const exact = axis.indexOf(size);
  if (exact >= 0) return [[exact, 1]];
  if (!(axis[0] < size && size < axis[axis.length - 1])) return [];
  const right = axis.findIndex((each) => each > size), count = Math.min(points, axis.length);
  const first = Math.min(right - 1, axis.length - count), used = Array.from({ length: count }, (_, at) => first + at);
  return used.map((place) => [place, used.filter((other) => other !== place).reduce((product, other) =>
    product * Math.log(size / axis[other]) / Math.log(axis[place] / axis[other]), 1)]);
}

function corners(block, sizes, points) {
  let found = [[0, 1]];
  for (const name of block.names) {
    const axis = block.axes[name], sides = neighbours(axis, axis.length === 1 ? axis[0] : sizes[name], points);
    found = found.flatMap(([cell, weight]) =>
      sides.map(([place, share]) => [cell * axis.length + place, weight * share]));
  }
  return found;
}

const mean = (places, weights, from) =>
  Math.exp(places.reduce((sum, cell, at) => sum + weights[at] * Math.log(values[from + cell]), 0));

function errorOf(phase) {
  return data.errors.find((each) => each.phase === phase) || { p90: 0, median: 0, largest: 0, points: 0 };
}

// Value, bounds and level at any sizes within the grid; `refused` says why there is none.
// Away from the grid, bounds are wider by the phase's interpolation error (90th percentile).
function answerAt(block, quantity, chip, variant, sizes, points = 3) {
  const found = corners(block, sizes, points), q = block.quantities.indexOf(quantity);
  if (!found.length) return { refused: outside(block, sizes) };
  const cells = found.map((each) => each[0]), weights = found.map((each) => each[1]);
  const series = (chip * block.variants.length + variant) * block.cells;
  const codes = cells.map((cell) => marks[block.start + q * block.series + series + cell]);
  const worst = codes.reduce((a, b) => Math.max(a, b));
  if (worst >= LEVEL_COUNT) {
    if (points > 2) return answerAt(block, quantity, chip, variant, sizes, 2);
    const why = data.reasons[worst - LEVEL_COUNT].replaceAll("{chip}", data.chips[chip].name);
    return { refused: codes.every((code) => code >= LEVEL_COUNT) ? why
      : "between two grid points of which one is refused (" + why + "); ask hetbench query" };
  }
  const from = (bound) => 3 * block.start + (q * 3 + bound) * block.series + series;
  const bounded = cells.every((cell) => !Number.isNaN(values[from(1) + cell]));
  const onGrid = found.length === 1, level = data.marks[worst];
  const value = mean(cells, weights, from(0)), slack = onGrid ? 1 : Math.exp(errorOf(block.phase).p90);
  const lower = bounded ? Math.min(value, mean(cells, weights, from(1))) : value;
  const upper = bounded ? Math.max(value, mean(cells, weights, from(2))) : value;
  return { value, lower: lower / slack, upper: upper * slack, level: level === "A" && !onGrid ? "B" : level, onGrid,
    bounded: bounded || !onGrid };
}

function outside(block, sizes) {
  const ranges = block.names.map((name) => {
    const axis = block.axes[name];
    return spoken(name) + (axis.length === 1 ? " " + axis[0] : " " + axis[0] + " to " + axis[axis.length - 1]);
  });
  return "outside the sizes of this page (" + ranges.join(", ") + "); ask hetbench query";
}

function memoryAt(block, variant, sizes) {
  if (!block.memory.length) return null;
  const found = corners(block, sizes, 2), cells = block.memory[variant];
  if (!found.length || found.some(([cell]) => cells[cell] === null)) return null;
  return Math.exp(found.reduce((sum, [cell, weight]) => sum + weight * Math.log(cells[cell]), 0));
}

function evidenceOf(block, chip, variant) {
  const row = block.evidence[chip][variant];
  if (!row) return null;
  const text = (place) => (place === null ? null : data.texts[place]);
  const [kind, precision, stack, surrogate, support, notes, refs, shares] = row;
  return { kind: text(kind), precision: text(precision), stack: text(stack), surrogate: text(surrogate), support,
    notes: notes.map(text), refs: refs.map(text),
    shares: Object.entries(shares).map(([place, ms]) => [text(Number(place)), ms]) };
}

// three significant digits, as hetbench prints them
function digits(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  if (value === 0) return "0";
  const short = Number(value.toPrecision(3)), size = Math.floor(Math.log10(Math.abs(short)));
  if (size < -4) return short.toExponential().replace(/e-(\d)$/, "e-0$1");
  return size > 2 ? short.toLocaleString("en-US") : String(short);
}

const NAMES = { batch: "batch", seq_len: "tokens", image_size: "image size", input_len: "input tokens",
  output_len: "output tokens", concurrency: "requests in flight", latency: "Latency", throughput: "Throughput",
  energy: "Energy", tpot: "Time per output token", ttft: "Time to first token", inference: "Inference",
  prefill: "Prefill", decode: "Decode", serving: "Serving", per_chip: "Throughput per chip" };
const spoken = (name) => NAMES[name] || name.replaceAll("_", " ");
