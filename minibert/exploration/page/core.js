// What the page is about, what the reader has chosen, and how a question is answered.
const data = JSON.parse(document.getElementById("data").textContent);
const live = data.answers === null;
const recorded = new Map((data.answers ?? []).map(([question, answer]) => [JSON.stringify(question), answer]));
const kept = new Map();
const MOST_KEPT = 100;

const state = {
  text: data.text, masked: [], step: data.steps.at(-1), beside: null, position: 0,
  layer: 0, head: 0, off: [], part: null, number: 0, target: null, tokens: [], measuring: false,
};

class Refusal extends Error {}

const ask = async (kind, step, more = {}) => {
  const key = JSON.stringify({ kind, step, text: state.text, masked: state.masked, ...more });
  if (!live) {
    if (!recorded.has(key)) throw new Refusal("This page was exported without it. Start the explorer to compute it.");
    return recorded.get(key);
  }
  if (kept.has(key)) return kept.get(key);
  let response, answer;
  try {
    response = await fetch("answer", { method: "POST", headers: { "Content-Type": "application/json" }, body: key });
    answer = await response.json();
  } catch {
    throw new Refusal("The explorer does not answer any more. Start it again and reload this page.");
  }
  if (answer.error !== undefined) throw new Refusal(answer.error);
  kept.set(key, answer);
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  return answer;
};

// A packed array: its shape, and at(i, j, ...) for one number.
const unpack = ({ shape, data: content }) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const values = Float32Array.from({ length: bytes.length / 4 }, (_, place) => view.getFloat32(4 * place, true));
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  return { shape, values, at: (...index) => values[index.reduce((sum, place, axis) => sum + place * strides[axis], 0)] };
};

// An element; texts among its children stay text.
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

const byId = (id) => document.getElementById(id);

const shown = (value) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 100000) ? value.toExponential(2) : value.toPrecision(4).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  return text.replace("-", "−");
};

const percent = (share) => (share < 0.0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`);

let tables = 0;
const table = (caption, head, rows) => {
  const cell = (content) => {
    if (content instanceof Node) return content;
    const number = typeof content === "number";
    return element("td", number ? { class: "number" } : {}, number ? shown(content) : content);
  };
  const named = `table_${++tables}`;
  return element("div", {}, element("p", { class: "soft title", id: named }, caption), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": named },
    element("table", { "aria-labelledby": named },
      element("thead", {}, element("tr", {}, ...head.map((title) => element("th", { scope: "col" }, title)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell)))))));
};

// Buttons of which one is reached by Tab, and the others by the arrow keys.
const roving = (container, columns) => {
  container.addEventListener("keydown", (event) => {
    const buttons = [...container.querySelectorAll("button")];
    const place = buttons.indexOf(document.activeElement);
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns() }[event.key];
    if (place < 0 || move === undefined) return;
    event.preventDefault();
    const next = buttons[Math.min(Math.max(place + move, 0), buttons.length - 1)];
    next.focus();
    if (container.dataset.follows) next.click();
  });
};
