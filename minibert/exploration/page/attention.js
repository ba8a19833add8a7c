// Every head as a small picture; the chosen one as a matrix and as arcs.
const headGrid = (id, pressed, press, label, draw) => {
  const grid = byId(id);
  grid.style.gridTemplateColumns = `repeat(${data.heads}, max-content)`;
  const focused = [...grid.querySelectorAll("button")].indexOf(document.activeElement);
  const buttons = [];
  for (let layer = 0; layer < data.layers; layer++)
    for (let head = 0; head < data.heads; head++)
      buttons.push(element("button", {
        type: "button", "aria-pressed": String(pressed(layer, head)), "aria-label": label(layer, head), tabindex: "-1", onclick: () => press(layer, head),
      }, ...draw(layer, head), `L${layer} H${head}`));
  const reached = focused >= 0 ? focused : Math.max(buttons.findIndex((button) => button.getAttribute("aria-pressed") === "true"), 0);
  buttons[reached].setAttribute("tabindex", "0");
  grid.replaceChildren(...buttons);
  if (focused >= 0) buttons[focused].focus();
};

const showHeads = (answer) => {
  const weights = unpack(answer.attention), count = answer.tokens.length;
  headGrid("heads", (layer, head) => layer === state.layer && head === state.head, (layer, head) => choose({ layer, head }),
    (layer, head) => `layer ${layer}, head ${head}: entropy ${shown(answer.head_entropies[layer][head])} of 1, mean distance ${shown(answer.head_distances[layer][head])} tokens`,
    (layer, head) => [raster(count, count, (row, column) => scales.root(weights.at(layer, head, row, column)))]);
};

const headFigures = (answer, step) => {
  const { layer, head, position } = state;
  const weights = unpack(answer.attention), tokens = answer.tokens;
  const name = `layer ${layer}, head ${head}${stepName(step)}`;
  const weight = (row, column) => weights.at(layer, head, row, column);
  const shares = Object.entries(answer.head_shares).map(([pattern, share]) => `${pattern} ${shown(share[layer][head])}`).join(", ");
  const most = tokens.map((token, place) => [token, place, weight(position, place)]).sort((first, second) => second[2] - first[2]).slice(0, 8);
  return element("div", {}, element("h3", {}, name),
    element("p", { class: "soft" }, `Entropy ${shown(answer.head_entropies[layer][head])} of 1, mean distance ${shown(answer.head_distances[layer][head])} tokens. Mean weight on: ${shares}.`),
    element("div", { class: "pair" }, matrix({ label: `Attention of ${name}: a row for each token that attends`, rows: tokens, columns: tokens, value: weight, colour: scales.root, chosen: position, pick: (row) => choose({ position: row }) }),
    arcs({ label: `Attention of ${name} as arcs`, tokens, weight, chosen: position })),
    table(`Token ${position}, ${tokens[position]}, attends most to`, ["token", "position", "weight"], most));
};

const showAttention = (answers) => {
  showHeads(answers[0][1]);
  byId("attention").replaceChildren(...answers.map(([step, answer]) => headFigures(answer, step)));
};
