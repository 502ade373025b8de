// Saving what is shown: a figure as SVG or PNG, rows as CSV.
"use strict";

function saveFile(name, type, content) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The SVG with the colours that it has on the page, so that it looks the same elsewhere.
function standalone(svg) {
  const copy = svg.cloneNode(true), size = svg.getBoundingClientRect();
  const originals = [svg, ...svg.querySelectorAll("*")], copies = [copy, ...copy.querySelectorAll("*")];
  originals.forEach((each, at) => {
    const style = getComputedStyle(each);
    for (const key of ["fill", "stroke", "font-size", "font-family", "color"]) copies[at].style.setProperty(key, style.getPropertyValue(key));
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", size.width);
  copy.setAttribute("height", size.height);
  copy.style.background = getComputedStyle(document.body).backgroundColor;
  return new XMLSerializer().serializeToString(copy);
}

function saveFigure(svg, name, kind) {
  const text = standalone(svg), size = svg.getBoundingClientRect();
  if (kind === "SVG") return saveFile(name + ".svg", "image/svg+xml", text);
  const image = new Image(), sharpness = 2;
  image.onload = () => {
    const canvas = element("canvas", { width: size.width * sharpness, height: size.height * sharpness });
    const pen = canvas.getContext("2d");
    pen.scale(sharpness, sharpness);
    pen.drawImage(image, 0, 0);
    canvas.toBlob((blob) => saveFile(name + ".png", "image/png", blob));
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  return undefined;
}

const CSV_COLUMNS = ["model", "phase", "setting", "chip", "family", "metric", "unit", "value", "lower", "upper", "level", "kind",
  "precision", "stack", "memory_mb", "meets_deadline", "left_out"];

function csvOf(blocksShown) {
  const quoted = (cell) => (/[",\n]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell);
  const lines = blocksShown.flatMap((block) => {
    const { shown, hidden } = ranked(block);
    return [...shown, ...hidden].map((row) => [block.model, block.phase, settingText(block), row.chip.name, row.chip.family,
      state.metric, unitOf(state.metric), row.value, row.lower, row.upper, row.level, row.kind, row.evidence && row.evidence.precision,
      row.evidence && row.evidence.stack, row.memory, row.meets, row.hidden === "refused" ? row.refused : row.hidden]);
  });
  return [CSV_COLUMNS, ...lines].map((line) => line.map((cell) => quoted(cell === null || cell === undefined ? "" : String(cell))).join(","))
    .join("\n") + "\n";
}
