// What is chosen, kept in the URL hash so that every view can be bookmarked and shared.
"use strict";
const SIZES = ["batch", "seq_len", "image_size", "input_len", "output_len", "concurrency"];
const PLAIN = ["phase", "metric", "variant", "source", "target", "level", "memory", "deadline", "search"];
const MOST_MODELS = 4;
const state = { models: [], sizes: {}, families: [], fits: true, all: false };

const $ = (id) => document.getElementById(id);
const modelNamed = (name) => data.models.find((each) => each.name === name);
const chipIndex = (name) => data.chips.findIndex((each) => each.name === name);
const chosenBlocks = () => state.models.map((name) => blocks.get(name + "|" + state.phase)).filter(Boolean);
const phasesOf = (model) => data.blocks.filter((each) => each.model === model).map((each) => each.phase);

function fromAddress() {
  const kept = new URLSearchParams(location.hash.slice(1));
  const named = (kept.get("models") || "").split(",").filter(modelNamed).slice(0, MOST_MODELS);
  state.models = named.length ? named : [data.models[0].name];
  for (const name of PLAIN) state[name] = kept.get(name) || "";
  state.families = (kept.get("families") || "").split(",").filter(Boolean);
  state.fits = kept.get("fits") !== "no";
  state.all = kept.get("all") === "yes";
  state.sizes = {};
  for (const name of SIZES) if (Number(kept.get(name)) > 0) state.sizes[name] = Number(kept.get(name));
  settle();
}

// Every choice that is missing or not possible here takes its default.
function settle() {
  const phases = phasesOf(state.models[0]);
  if (!phases.includes(state.phase)) state.phase = phases[0];
  const block = blocks.get(state.models[0] + "|" + state.phase);
  for (const name of block.names) if (!state.sizes[name]) state.sizes[name] = block.defaults[name];
  const metrics = metricNames();
  if (!metrics.includes(state.metric)) state.metric = metrics[0];
  const variants = variantNames(block);
  if (!variants.includes(state.variant)) state.variant = variants[0];
  if (chipIndex(state.source) < 0) state.source = (data.chips.find((each) => each.default) || data.chips[0]).name;
  if (chipIndex(state.target) < 0) state.target = "";
}

function toAddress() {
  const kept = new URLSearchParams({ models: state.models.join(",") });
  for (const name of PLAIN) if (state[name]) kept.set(name, state[name]);
  const block = blocks.get(state.models[0] + "|" + state.phase);
  for (const name of block.names) if (block.axes[name].length > 1) kept.set(name, state.sizes[name]);
  if (state.families.length) kept.set("families", state.families.join(","));
  if (!state.fits) kept.set("fits", "no");
  if (state.all) kept.set("all", "yes");
  history.replaceState(null, "", "#" + kept.toString().replaceAll("%2C", ",").replaceAll("%2F", "/"));
}

const serving = () => state.phase === "serving";
const metricNames = () => (serving() ? ["tpot", "ttft", "throughput", "per_chip", "energy"]
  : ["latency", "throughput", "energy"]);
const better = () => (["throughput", "per_chip"].includes(state.metric) ? "higher" : "lower");

function unitOf(metric) {
  if (metric === "per_chip") return "tokens/s per chip";
  if (metric === "throughput") return serving() || state.phase !== "inference" ? "tokens/s" : "samples/s";
  if (metric === "energy" && serving()) return "J per output token";
  return data.metrics[serving() ? "serving" : "model"][metric].unit;
}

// Names of the variants of a block, which are the values of the control; `default` is each chip's own precision.
function variantNames(block) {
  const names = block.variants.map((each) => Object.values(each).join(" "));
  return block.phase === "serving" ? names : ["default", ...names];
}

function variantLabel(block, name) {
  if (name === "default") return "chip's default (fp16, else fp32)";
  const each = block.variants[block.variants.findIndex((one) => Object.values(one).join(" ") === name)];
  if (block.phase !== "serving") return name;
  return each.chips + (each.chips > 1 ? " chips" : " chip") + ", weights in " +
    (each.precision || "the checkpoint's format");
}

// Indices of the variants that a choice means on a chip; none where the page does not hold it.
function variantsMeant(block, chip) {
  const names = block.variants.map((each) => Object.values(each).join(" "));
  const tried = state.variant === "default" ? [chip.precision] : [state.variant];
  return tried.map((name) => names.indexOf(name)).filter((place) => place >= 0);
}

// The sizes of the question in words: "batch 1, 512 tokens".
function settingText(block, sizes = state.sizes) {
  return block.names.map((name) => {
    const size = block.axes[name].length === 1 ? block.axes[name][0] : sizes[name];
    return ["batch", "image_size"].includes(name) ? spoken(name) + " " + size
      : size.toLocaleString("en-US") + " " + (size === 1 && name === "concurrency" ? "request in flight" : spoken(name));
  }).join(", ");
}
