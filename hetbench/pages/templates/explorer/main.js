// Controls: they follow the state, and every change of them is drawn and kept in the address.
"use strict";

function option(value, text, chosen) {
  return element("option", { value, selected: value === chosen }, text);
}

function fill(id, options, chosen) {
  $(id).replaceChildren(...options.map(([value, text]) => option(value, text, chosen)));
  $(id).value = chosen;
}

function drawControls() {
  const block = blocks.get(state.models[0] + "|" + state.phase);
  $("chosen").replaceChildren(...state.models.map((name) => element("li", {}, element("button", { type: "button", className: "tag",
    disabled: state.models.length === 1, "aria-label": "Remove " + modelNamed(name).title, onclick: () => {
      state.models = state.models.filter((each) => each !== name);
      settle();
      changed();
      $("model").focus();
    } }, modelNamed(name).title + (state.models.length > 1 ? " ×" : "")))));
  fill("only", data.models.map((each) => [each.name, each.title + " (" + each.category + ")"]), state.models[0]);
  fill("phase", phasesOf(state.models[0]).map((name) => [name, spoken(name)]), state.phase);
  fill("metric", metricNames().map((name) => [name, spoken(name) + ", " + unitOf(name)]), state.metric);
  fill("variant", variantNames(block).map((name) => [name, variantLabel(block, name)]), state.variant);
  $("variant-name").textContent = serving() ? "Deployment" : "Precision";
  $("deadline-name").textContent = (serving() ? (state.metric === "ttft" ? "First token" : "Each token") : "Latency") + " at most, ms";
  const chips = [...data.chips].sort((a, b) => a.label.localeCompare(b.label)).map((chip) => [chip.name, chip.label + " (" + chip.family + ")"]);
  fill("source", chips, state.source);
  fill("target", [["", "the best that passes the filters"], ...chips], state.target);
  for (const name of ["level", "memory", "deadline", "search"]) if ($(name).value !== state[name]) $(name).value = state[name];
  for (const box of $("families").querySelectorAll("input")) box.checked = state.families.includes(box.value);
  $("fits").checked = state.fits;
  drawSizes(block);
}

function drawSizes(block) {
  const names = block.names.filter((name) => block.axes[name].length > 1), key = block.phase + names.join();
  if ($("sizes").dataset.key !== key + block.model) {
    $("sizes").dataset.key = key + block.model;
    $("sizes").replaceChildren(...names.map((name) => slider(name, block.axes[name])));
  }
  for (const name of names) {
    const axis = block.axes[name], low = Math.log(axis[0]), high = Math.log(axis[axis.length - 1]);
    $("number-" + name).value = state.sizes[name];
    $("range-" + name).value = Math.round(1000 * (Math.log(state.sizes[name]) - low) / (high - low));
    $("range-" + name).setAttribute("aria-valuetext", String(state.sizes[name]));
  }
}

// A logarithmic slider and a number of the same size.
function slider(name, axis) {
  const low = axis[0], high = axis[axis.length - 1], label = spoken(name)[0].toUpperCase() + spoken(name).slice(1);
  const set = (size) => {
    if (!(size > 0)) return;
    state.sizes[name] = Math.round(size);
    changed();
  };
  const range = element("input", { type: "range", id: "range-" + name, min: 0, max: 1000, step: 1, "aria-label": label + ", slider",
    oninput: (event) => set(near(axis, low * (high / low) ** (event.target.value / 1000), (high / low) ** 0.02)) });
  const number = element("input", { type: "number", id: "number-" + name, min: low, max: high, step: 1, onchange: (event) => set(Number(event.target.value)) });
  return element("div", { className: "size" }, element("label", { htmlFor: "number-" + name }, label + " (" + low + " to " + high.toLocaleString("en-US") + ")"), element("div", {}, range, number));
}

// The slider rests on a grid point when it is close to it: no interpolation there.
function near(axis, size, factor) {
  return axis.find((each) => size / each < factor && each / size < factor) || size;
}

function drawAll() {
  drawControls();
  const results = chosenBlocks().map((block) => [block, ranked(block)]);
  const missing = state.models.filter((name) => !blocks.has(name + "|" + state.phase)).map((name) => modelNamed(name).title);
  drawHeadlines(results);
  $("missing").textContent = missing.length ? "Not answered in this phase: " + missing.join(", ") + "." : "";
  const sections = { ranking: drawRanking, pareto: drawPareto, matrix: drawMatrix, coverage: drawCoverage, attribution: drawAttribution, evidence: drawEvidence };
  for (const [name, draw] of Object.entries(sections)) {
    const width = Math.max(280, Math.floor($(name).clientWidth));
    $(name + "-body").replaceChildren(...results.map((result) => draw(result, width)));
  }
}

function changed() {
  toAddress();
  drawAll();
}

function listen() {
  for (const name of ["phase", "metric", "variant", "source", "target", "level", "memory", "deadline", "search"]) {
    $(name).addEventListener("input", () => {
      state[name] = $(name).value;
      settle();
      changed();
    });
  }
  $("families").addEventListener("change", () => {
    state.families = [...$("families").querySelectorAll("input:checked")].map((box) => box.value);
    changed();
  });
  $("fits").addEventListener("change", () => { state.fits = $("fits").checked; changed(); });
  $("model").addEventListener("input", () => {
    const text = $("model").value.toLowerCase(), found = data.models.find((each) => [each.name, each.title].some((name) => name.toLowerCase() === text));
    if (!found) return;
    $("model").value = "";
    addModel(found.name);
  });
  $("only").addEventListener("input", () => { state.models = [$("only").value]; settle(); changed(); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("reset", () => setTimeout(() => {
    history.replaceState(null, "", "#models=" + state.models.join(","));
    fromAddress();
    changed();
  }));
  $("csv").addEventListener("click", () => saveFile("hetbench.csv", "text/csv", csvOf(chosenBlocks())));
  $("print").addEventListener("click", () => window.print());
  for (const button of document.querySelectorAll("button[data-to]")) {
    button.addEventListener("click", () => { $(button.dataset.to).scrollIntoView(); $(button.dataset.to + "-h").focus(); });
  }
  window.addEventListener("hashchange", () => { fromAddress(); drawAll(); });
  let timer, width = window.innerWidth;
  window.addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (window.innerWidth !== width) { width = window.innerWidth; drawAll(); } }, 150);
  });
}

function addModel(name) {
  state.models = [...state.models.filter((each) => each !== name), name].slice(-MOST_MODELS);
  settle();
  changed();
}

// On a phone the filters of chips are folded unless one is set, so that the answer is near the question.
function foldFilters() {
  const set = state.level || state.memory || state.deadline || state.search || state.families.length || !state.fits;
  $("more").open = window.innerWidth >= 704 || Boolean(set);
}

async function start() {
  await load();
  $("names").replaceChildren(...data.models.map((each) => option(each.name, each.title)));
  fromAddress();
  $("errors-body").replaceChildren(drawErrors());
  listen();
  foldFilters();
  drawAll();
  toAddress();
  document.documentElement.dataset.ready = "yes";
}

start();
