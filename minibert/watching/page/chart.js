// Elements, numbers, and lines over optimizer steps as SVG.
const SVG = "http://www.w3.org/2000/svg";

// An element; texts among its children stay text.
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const svg = (tag, attributes = {}, ...children) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const byId = (id) => document.getElementById(id);
const whole = (value) => Math.round(value).toLocaleString("en");
const shown = (value) => {
  if (value === null || value === undefined) return "–";
  const small = value !== 0 && Math.abs(value) < 0.01;
  return (small ? value.toExponential(1) : value.toFixed(3)).replace("-", "−");
};
const kind = (index) => `k${index % 8} d${Math.floor(index / 8) % 3}`;

// Round numbers within a range: 1, 2 or 5 times a power of ten apart.
const ticks = (low, high, most) => {
  const rough = (high - low || 1) / most, power = 10 ** Math.floor(Math.log10(rough));
  const gap = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let number = Math.ceil(low / gap); number * gap <= high + gap * 1e-6; number++) found.push(number * gap);
  return found;
};
const powers = (low, high) => {
  const found = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power++) found.push(10 ** power);
  return found;
};

// Draw lines, each {name, steps, values}, and levels, each {name, value}, into a figure. The values under the pointer,
// or under the cursor that the arrow keys move, are told below. A logarithmic axis begins with step 1.
const chart = (figure, { label, unit, lines, levels = [], logSteps = false, logValues = false }) => {
  const width = Math.max(figure.clientWidth - 16, 280), height = width < 600 ? 240 : 340;
  const room = { left: 56, right: 12, top: 10, bottom: 42 };
  const drawable = (value) => value !== null && !(logValues && value <= 0);
  const points = lines.map((line) => line.steps.map((step, place) => [step, line.values[place]]).filter(([step, value]) => drawable(value) && !(logSteps && step <= 0)));
  const all = points.flat(), steps = [...new Set(all.map(([step]) => step))].sort((one, other) => one - other);
  if (!all.length) {
    figure.replaceChildren(element("p", { class: "soft" }, "Nothing is recorded yet."));
    return;
  }
  const values = [...all.map(([, value]) => value), ...levels.map(({ value }) => value)];
  let low = Math.min(...values), high = Math.max(...values);
  if (logValues) [low, high] = [low / 1.3, high * 1.3];
  else [low, high] = [low - 0.05 * (high - low || 1), high + 0.05 * (high - low || 1)];
  const scale = (logarithmic, from, to, start, end) => {
    const map = logarithmic ? Math.log10 : (value) => value;
    return (value) => start + ((map(value) - map(from)) / (map(to) - map(from) || 1)) * (end - start);
  };
  const first = logSteps ? steps[0] : 0, last = Math.max(steps.at(-1), first + 1);
  const x = scale(logSteps, first, last, room.left, width - room.right), y = scale(logValues, low, high, height - room.bottom, room.top);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const value of logValues ? powers(low, high) : ticks(low, high, 5)) {
    drawing.append(svg("line", { class: "axis", x1: room.left, x2: width - room.right, y1: y(value), y2: y(value) }));
    drawing.append(svg("text", { x: room.left - 6, y: y(value) + 4, "text-anchor": "end" }, logValues ? value.toExponential(0) : String(Number(value.toPrecision(6)))));
  }
  for (const step of logSteps ? powers(first, last) : ticks(0, last, width < 600 ? 4 : 8)) {
    drawing.append(svg("line", { class: "axis", x1: x(step), x2: x(step), y1: room.top, y2: height - room.bottom }));
    drawing.append(svg("text", { x: x(step), y: height - room.bottom + 16, "text-anchor": "middle" }, whole(step)));
  }
  drawing.append(svg("text", { x: (room.left + width - room.right) / 2, y: height - 6, "text-anchor": "middle" }, "optimizer step"));
  for (const { name, value } of levels) {
    drawing.append(svg("line", { class: "level", x1: room.left, x2: width - room.right, y1: y(value), y2: y(value) }));
    drawing.append(svg("text", { x: width - room.right - 4, y: y(value) - 4, "text-anchor": "end" }, `${name} ${value.toFixed(2)}`));
  }
  points.forEach((line, index) => {
    if (!line.length) return;
    drawing.append(svg("path", { class: `line ${kind(index)}`, d: `M ${line.map(([step, value]) => `${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join(" L ")}` }));
    if (line.length === 1) drawing.append(svg("circle", { class: kind(index), cx: x(line[0][0]), cy: y(line[0][1]), r: 2 }));
  });
  const cursor = svg("line", { class: "cursor", y1: room.top, y2: height - room.bottom, visibility: "hidden" });
  drawing.append(cursor);
  const readout = element("p", { class: "soft readout" });
  const tell = (place) => {
    const step = steps[Math.min(Math.max(place, 0), steps.length - 1)];
    figure.dataset.place = String(steps.indexOf(step));
    for (const side of ["x1", "x2"]) cursor.setAttribute(side, x(step));
    cursor.setAttribute("visibility", "visible");
    const told = lines.map((line, index) => [line.name, points[index].findLast(([other]) => other <= step)]).filter(([, point]) => point);
    readout.textContent = `step ${whole(step)}: ${told.map(([name, [, value]]) => `${name} ${shown(value)}`).join(", ")} ${unit}`;
  };
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect(), at = ((event.clientX - box.left) / box.width) * width;
    let nearest = 0;
    steps.forEach((step, place) => { if (Math.abs(x(step) - at) < Math.abs(x(steps[nearest]) - at)) nearest = place; });
    tell(nearest);
  });
  const frame = element("div", { class: "chart", tabindex: "0", role: "group", "aria-label": `${label}. Arrow keys read the values` }, drawing);
  frame.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1, Home: -steps.length, End: steps.length }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    readout.setAttribute("role", "status");  // told aloud only where somebody asks for it
    tell(Number(figure.dataset.place ?? steps.length - 1) + move);
  });
  const legend = element("ul", { class: "legend" }, ...lines.map((line, index) => element("li", {}, element("span", { class: `swatch ${kind(index)}` }), line.name)));
  const focused = figure.querySelector(".chart") === document.activeElement;
  figure.replaceChildren(frame, legend, readout);
  if (focused) frame.focus({ preventScroll: true });
  if (figure.dataset.place !== undefined) tell(Number(figure.dataset.place));
};
