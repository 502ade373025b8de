// The table of answers with filters, search and sorting. All data are in script#data; nothing is loaded.
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const STEP = 100;
  const state = { by: "value", down: false, shown: STEP };
  const controls = ["search", "metric", "category", "family", "chip", "level"];

  const rows = {};
  for (const metric of Object.keys(data.rows)) {
    rows[metric] = data.rows[metric].map(([m, c, value, lower, upper, level, kind, precision, stack]) => {
      const model = data.models[m], chip = data.chips[c], text = (place) => (place === null ? "" : data.texts[place]);
      const row = { model, chip, value, lower, upper, level: text(level), kind: text(kind), precision: text(precision),
        stack: text(stack) };
      row.words = [model.name, model.title, model.category, model.task, chip.name, chip.family, chip.vendor, chip.arch,
        row.kind, row.precision, row.stack].join(" ").toLowerCase();
      return row;
    });
  }

  // three significant digits, as hetbench prints them
  function digits(value) {
    if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
    if (value === 0) return "0";
    const short = Number(value.toPrecision(3));
    const size = Math.floor(Math.log10(Math.abs(short)));
    if (size < -4) return short.toExponential().replace(/e-(\d)$/, "e-0$1");
    return size > 2 ? short.toLocaleString("en-US") : String(short);
  }

  function element(name, properties, ...children) {
    const made = document.createElement(name);
    Object.assign(made, properties);
    made.append(...children);
    return made;
  }

  function drawn(name, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function fits(row, chosen) {
    return (!chosen.category || row.model.category === chosen.category) &&
      (!chosen.family || row.chip.family === chosen.family) && (!chosen.chip || row.chip.name === chosen.chip) &&
      (!chosen.level || (row.level && row.level <= chosen.level)) && chosen.words.every((word) => row.words.includes(word));
  }

  function chosenNow() {
    const chosen = Object.fromEntries(controls.map((name) => [name, $(name).value]));
    chosen.words = chosen.search.toLowerCase().split(/\s+/).filter(Boolean);
    return chosen;
  }

  function ordered(found) {
    const key = { model: (row) => row.model.name, chip: (row) => row.chip.name, value: (row) => row.value,
      level: (row) => row.level || "~" }[state.by];
    const sign = state.down ? -1 : 1;
    return found.sort((a, b) => {
      const left = key(a), right = key(b);
      return sign * (left < right ? -1 : left > right ? 1 : 0) || a.value - b.value;
    });
  }

  function scale(found) {
    const values = found.flatMap((row) => [row.value, row.lower, row.upper]).filter((value) => value > 0);
    const low = Math.log10(values.reduce((a, b) => Math.min(a, b), Infinity) / 1.15);
    const high = Math.log10(values.reduce((a, b) => Math.max(a, b), 0) * 1.15);
    const at = (value) => (4 + 92 * (high > low ? (Math.log10(value) - low) / (high - low) : 0.5)).toFixed(2);
    const ticks = [];
    const every = Math.ceil((high - low) / (window.innerWidth < 704 ? 3 : 6));
    for (let power = Math.ceil(low); power <= high; power += Math.max(every, 1)) ticks.push(10 ** power);
    return { at, ticks };
  }

  function axis(of) {
    const texts = of.ticks.map((tick) => drawn("text", { x: of.at(tick) + "%", y: 11, "text-anchor": "middle" },
      digits(tick)));
    return drawn("svg", { class: "track", height: 15, role: "img", "aria-label": "logarithmic axis" }, ...texts);
  }

  function track(row, of) {
    const parts = of.ticks.map((tick) => drawn("line", { class: "grid", x1: of.at(tick) + "%", x2: of.at(tick) + "%",
      y1: -4, y2: 23 }));
    if (row.lower !== null && row.upper !== null) {
      const left = of.at(row.lower), width = (of.at(row.upper) - left).toFixed(2);
      parts.push(drawn("rect", { class: "span", x: left + "%", y: 7, width: width + "%", height: 5, rx: 2 }));
    }
    const x = of.at(row.value) + "%";
    parts.push(row.kind === "predicted" ? drawn("circle", { class: "dot", cx: x, cy: 9.5, r: 4.5 })
      : drawn("svg", { x, overflow: "visible" }, drawn("rect", { class: "own", x: -4, y: 5.5, width: 8, height: 8 })));
    return drawn("svg", { class: "track", height: 19, "aria-hidden": "true", focusable: "false" }, ...parts);
  }

  function line(row, of) {
    const interval = row.lower === null ? "" : digits(row.lower) + " to " + digits(row.upper);
    const badge = row.level ? element("abbr", { className: "level level-" + row.level.toLowerCase(),
      title: "level " + row.level + ": " + data.levels[row.level] }, row.level) : "–";
    const value = element("td", { className: "number" }, digits(row.value));
    value.dataset.value = row.value;
    return element("tr", {},
      element("th", { scope: "row" }, element("a", { href: "models/" + row.model.name + ".html" }, row.model.name)),
      element("td", {}, row.chip.name + " ", element("small", {}, row.chip.family)),
      element("td", { className: "picture" }, track(row, of)), value,
      element("td", { className: "minor" }, element("span", { className: "nowrap" }, interval)), element("td", {}, badge),
      element("td", { className: "minor" }, row.kind),
      element("td", { className: "minor" }, row.precision + ", " + row.stack));
  }

  function refusals(chosen) {
    const by = new Map();
    for (const [m, c, text] of data.refused[chosen.metric]) {
      const model = data.models[m], chip = data.chips[c];
      const words = [model.name, model.title, model.category, model.task, chip.name, chip.family, chip.vendor, chip.arch]
        .join(" ").toLowerCase();
      if (!fits({ model, chip, words, level: "" }, { ...chosen, level: "" })) continue;
      const why = data.texts[text];
      if (!by.has(why)) by.set(why, { chips: new Set(), models: new Set() });
      by.get(why).chips.add(chip.name);
      by.get(why).models.add(model.name);
    }
    return [...by].map(([why, { chips, models }]) => element("li", {},
      [...chips].join(", ") + (models.size === data.models.length ? "" : " (" + [...models].join(", ") + ")") + ": " + why));
  }

  function show() {
    const chosen = chosenNow(), unit = data.metrics[chosen.metric].unit;
    const found = ordered(rows[chosen.metric].filter((row) => fits(row, chosen)));
    const part = found.slice(0, state.shown), of = scale(part);
    $("rows").replaceChildren(...part.map((row) => line(row, of)));
    $("axis").replaceChildren(part.length ? axis(of) : "");
    $("unit").textContent = chosen.metric + ", " + unit;
    $("caption").textContent = chosen.metric[0].toUpperCase() + chosen.metric.slice(1) + " in " + unit + ", logarithmic axis";
    $("count").textContent = found.length
      ? found.length.toLocaleString("en-US") + " answers, " + part.length.toLocaleString("en-US") + " shown"
      : "No answers match these filters.";
    $("more").hidden = part.length === found.length;
    $("refused").replaceChildren(...refusals(chosen));
    for (const button of document.querySelectorAll("button.sort")) {
      const head = button.closest("th"), mine = button.dataset.by === state.by;
      if (mine) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  // Filters are stored in the URL, so that a view can be bookmarked and shared.
  function toAddress() {
    const kept = new URLSearchParams();
    for (const name of controls) if ($(name).value && !(name === "metric" && $(name).selectedIndex === 0)) {
      kept.set(name, $(name).value);
    }
    if (state.by !== "value" || state.down) kept.set("sort", (state.down ? "-" : "") + state.by);
    history.replaceState(null, "", kept.size ? "#" + kept : location.pathname + location.search);
  }

  function fromAddress() {
    if (!location.hash.includes("=")) return;
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const name of controls) if (kept.has(name)) $(name).value = kept.get(name);
    const sort = kept.get("sort") || "value";
    state.down = sort.startsWith("-");
    state.by = ["model", "chip", "value", "level"].includes(sort.replace("-", "")) ? sort.replace("-", "") : "value";
  }

  function changed() {
    state.shown = STEP;
    toAddress();
    show();
  }

  const form = $("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.id === "metric") state.down = data.metrics[$("metric").value].better === "higher";
    changed();
  });
  form.addEventListener("reset", () => {
    Object.assign(state, { by: "value", down: false });
    setTimeout(changed);
  });
  for (const button of document.querySelectorAll("button.sort")) {
    button.addEventListener("click", () => {
      state.down = state.by === button.dataset.by && !state.down;
      state.by = button.dataset.by;
      changed();
    });
  }
  $("more").addEventListener("click", () => {
    const first = $("rows").children.length;
    state.shown += STEP;
    show();
    const next = $("rows").children[first];
    if (next) next.querySelector("a").focus({ preventScroll: true });
  });
  window.addEventListener("hashchange", () => {
    if (location.hash.includes("=")) { fromAddress(); show(); }
  });
  fromAddress();
  if (!$("metric").value) $("metric").selectedIndex = 0;
  show();
})();
