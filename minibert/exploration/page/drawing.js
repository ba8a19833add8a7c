// Matrices and arcs as SVG.
const SVG = "http://www.w3.org/2000/svg";
const VIRIDIS = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];
const RED_BLUE = [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]];

const mix = (colours, share) => {
  const place = Math.min(Math.max(Number.isFinite(share) ? share : 0, 0), 1) * (colours.length - 1);
  const low = Math.min(Math.floor(place), colours.length - 2);
  return colours[low].map((value, channel) => Math.round(value + (place - low) * (colours[low + 1][channel] - value)));
};
const scales = {
  root: (value) => mix(VIRIDIS, Math.sqrt(Math.max(value, 0))),
  unit: (value) => mix(VIRIDIS, value),
  between: (low, high) => (value) => mix(VIRIDIS, (value - low) / (high - low || 1)),
  signed: (most) => (value) => mix(RED_BLUE, 0.5 + value / (2 * most || 1)),
};

const svg = (tag, attributes = {}, ...children) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

const raster = (rows, columns, colour) => {
  const canvas = element("canvas", { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let row = 0, place = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, place += 4) image.data.set([...colour(row, column), 255], place);
  context.putImageData(image, 0, 0);
  return canvas;
};

const shortened = (text, most = 14) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

// A matrix with its labels: value(row, column) -> number, colour(value). The number under the pointer is told below.
const matrix = ({ label, rows, columns, value, colour, size = null, chosen = null, numbers = false, caption = "", pick = null }) => {
  const named = (names) => Array.isArray(names);
  const height = named(rows) ? rows.length : rows, width = named(columns) ? columns.length : columns;
  const cell = size ?? Math.min(Math.max(460 / Math.max(width, height), 3), 34);
  const wide = named(columns) ? cell : Math.max(1, Math.min(cell, 700 / width));
  const left = named(rows) ? 8 * Math.max(...rows.map((name) => shortened(name, 22).length), 3) : 4;
  const labelled = named(columns) && wide >= 9;
  const top = labelled ? 8 * Math.max(...columns.map((name) => shortened(name).length), 3) + 4 : 4;
  const picture = raster(height, width, (row, column) => colour(value(row, column)));
  const drawing = svg("svg", { width: left + width * wide + 4, height: top + height * cell + 4, role: "img", "aria-label": label });
  drawing.append(svg("image", { x: left, y: top, width: width * wide, height: height * cell, href: picture.toDataURL(), preserveAspectRatio: "none" }));
  if (named(rows) && cell >= 9)
    rows.forEach((name, row) => drawing.append(svg("text", { x: left - 4, y: top + (row + 0.5) * cell + 4, "text-anchor": "end", ...(row === chosen ? { class: "strong" } : {}) }, shortened(name, 22))));
  if (labelled)
    columns.forEach((name, column) => drawing.append(svg("text", { transform: `translate(${left + (column + 0.5) * wide + 4} ${top - 4}) rotate(-90)`, ...(column === chosen ? { class: "strong" } : {}) }, shortened(name))));
  if (numbers)
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++) {
        const [red, green, blue] = colour(value(row, column));
        const ink = 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000" : "#fff";
        drawing.append(svg("text", { x: left + (column + 0.5) * wide, y: top + (row + 0.5) * cell + 4, "text-anchor": "middle", style: `fill: ${ink}` }, value(row, column)?.toFixed(2).replace("-", "−") ?? "–"));
      }
  if (chosen !== null && named(rows)) drawing.append(svg("rect", { class: "row", x: left, y: top + chosen * cell, width: width * wide, height: cell }));
  const readout = element("div", { class: "soft readout" });
  const under = (event) => {
    const box = drawing.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top - top) / cell), column = Math.floor((event.clientX - box.left - left) / wide);
    return row >= 0 && row < height && column >= 0 && column < width ? [row, column] : null;
  };
  drawing.addEventListener("pointermove", (event) => {
    const place = under(event);
    if (place === null) return;
    const names = place.map((index, axis) => (named([rows, columns][axis]) ? [rows, columns][axis][index] : String(index)));
    readout.textContent = `${names[0]} → ${names[1]}: ${shown(value(...place))}`;
  });
  if (pick) drawing.addEventListener("click", (event) => { const place = under(event); if (place) pick(...place); });
  return element("figure", {}, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, drawing), readout, ...(caption ? [element("figcaption", {}, caption)] : []));
};

// Arcs over a line of tokens: above, what the chosen token attends to; below, what attends to it; faint, all others.
const arcs = ({ label, tokens, weight, chosen }) => {
  const gap = Math.min(Math.max(560 / tokens.length, 14), 64), least = 1.5 / tokens.length;  // of uniform attention, every weight is 1 / T
  let longest = 1;
  tokens.forEach((_, from) => tokens.forEach((__, to) => { if (weight(from, to) > (from === chosen || to === chosen ? least / 3 : least)) longest = Math.max(longest, Math.abs(from - to)); }));
  const middle = Math.min(gap * longest * 0.5, 170) + 16;
  const names = 8 * Math.max(...tokens.map((token) => shortened(token).length), 3);
  const drawing = svg("svg", { width: gap * tokens.length + 20, height: 2 * middle + names + 16, role: "img", "aria-label": label });
  const x = (place) => 10 + (place + 0.5) * gap;
  const base = middle, under = middle + names + 14;
  const arc = (from, to, kind, share, below) => {
    const radius = Math.abs(x(to) - x(from)) / 2, height = Math.max(Math.min(radius, middle - 8), 5);
    const y = below ? under : base, sign = below ? 1 : -1;
    const path = from === to
      ? `M ${x(from) - 4} ${y} C ${x(from) - 10} ${y + sign * 16} ${x(from) + 10} ${y + sign * 16} ${x(from) + 4} ${y}`
      : `M ${x(from)} ${y} C ${x(from)} ${y + sign * height * 1.33} ${x(to)} ${y + sign * height * 1.33} ${x(to)} ${y}`;
    drawing.append(svg("path", { class: `arc ${kind}`, d: path, "stroke-width": kind === "quiet" ? 1 : 1 + 3 * share, "stroke-opacity": Math.max(share, 0.06) * (kind === "quiet" ? 0.35 : 1) }));
  };
  tokens.forEach((_, from) => tokens.forEach((__, to) => { if (from !== chosen && weight(from, to) > least) arc(from, to, "quiet", weight(from, to), false); }));
  tokens.forEach((_, other) => {
    if (weight(chosen, other) > least / 3) arc(chosen, other, "out", weight(chosen, other), false);
    if (weight(other, chosen) > least / 3) arc(other, chosen, "in", weight(other, chosen), true);
  });
  tokens.forEach((token, place) => drawing.append(svg("text", { transform: `translate(${x(place) + 4} ${under - 6}) rotate(-90)`, ...(place === chosen ? { class: "strong" } : {}) }, shortened(token))));
  return element("figure", {}, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, drawing),
    element("figcaption", {}, "Above: what the chosen token attends to; faint, what the others attend to, where it is more than 1.5 / T. Below: what attends to the chosen token."));
};
