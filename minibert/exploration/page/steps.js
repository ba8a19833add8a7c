// The forward pass, formula by formula.
const MOST_VALUES = 256;

const rowOf = (step, axes) => {
  const array = unpack(step.array), { position, head } = state;
  const width = array.shape.at(-1);
  if (axes === "H T") return Array.from({ length: array.shape[0] }, (_, each) => array.at(each, position));
  return Array.from({ length: width }, (_, column) => (axes.startsWith("H T") ? array.at(head, position, column) : array.at(position, column)));
};

const drawStep = (step) => {
  const axes = step.axes.join(" "), array = unpack(step.array), tokens = state.tokens, { head, position } = state;
  const spread = Math.max(Math.abs(step.statistics[2]), Math.abs(step.statistics[3]));
  const label = `${step.formula} (${step.shape})`;
  if (axes === "T")
    return table(label, ["token", step.name.replaceAll("_", " ")], tokens.map((token, place) => [token, array.at(place)]));
  if (axes === "H T T") {
    const shares = step.name === "weights";
    return matrix({ label: `${label}, head ${head}`, rows: tokens, columns: tokens, value: (row, column) => array.at(head, row, column), colour: shares ? scales.root : scales.signed(spread), chosen: position });
  }
  if (axes === "H T")
    return matrix({ label, rows: Array.from({ length: array.shape[0] }, (_, each) => `head ${each}`), columns: tokens, value: (row, column) => array.at(row, column), colour: scales.unit });
  const value = axes.startsWith("H") ? (row, column) => array.at(head, row, column) : (row, column) => array.at(row, column);
  return matrix({ label: `${label}${axes.startsWith("H") ? `, head ${head}` : ""}`, rows: tokens, columns: array.shape.at(-1), value, colour: scales.signed(spread), chosen: position, size: 14 });
};

const stepValues = (step) => {
  if (step.largest) return table(`The largest at token ${state.position}, ${state.tokens[state.position]}`, ["token", step.formula], step.largest[state.position]);
  const axes = step.axes.join(" "), values = rowOf(step, axes);
  const whose = axes === "H T" ? "one a head" : axes.startsWith("H") ? `head ${state.head}` : "";
  const more = values.length > MOST_VALUES ? ` (the first ${MOST_VALUES} of ${values.length})` : "";
  return element("div", {}, element("p", { class: "soft" }, `At token ${state.position}, ${state.tokens[state.position]}${whose ? `, ${whose}` : ""}${more}:`),
    element("div", { class: "values", tabindex: "0", role: "region", "aria-label": "numbers of this step at the chosen token" }, values.slice(0, MOST_VALUES).map(shown).join("  ")));
};

const showSteps = async (parts, turn) => {
  const select = byId("part");
  if (!parts.some(([part]) => part === state.part)) Object.assign(state, { part: parts[0][0], number: 0 });
  select.replaceChildren(...parts.map(([part]) => element("option", { value: part }, part)));
  select.value = state.part;
  const { steps } = await ask("part", state.step, { part: state.part });
  if (turn !== turns) return;
  const step = steps[state.number];
  const [mean, deviation, low, high] = step.statistics.map(shown);
  byId("previous").disabled = state.number === 0 && state.part === parts[0][0];
  byId("next").disabled = state.number === steps.length - 1 && state.part === parts.at(-1)[0];
  byId("walk").replaceChildren(
    element("p", { id: "step_place", "aria-live": "polite" }, `${state.part}, step ${state.number + 1} of ${steps.length}: ${step.name.replaceAll("_", " ")}`),
    element("p", { class: "formula" }, step.formula),
    element("p", {}, `${step.meaning} Shape ${step.shape}.`),
    ...(step.name === "token_ids" ? [] : [element("p", { class: "soft" }, `Mean ${mean}, deviation ${deviation}, from ${low} to ${high}.`)]),
    ...(step.largest ? [] : [drawStep(step)]), ...(step.axes.length === 1 ? [] : [stepValues(step)]));
};

const walk = (move, parts) => {
  const place = parts.findIndex(([part]) => part === state.part), number = state.number + move, beyond = parts[place + move];
  if (number >= 0 && number < parts[place][1]) choose({ number });
  else if (beyond !== undefined) choose({ part: beyond[0], number: move > 0 ? 0 : beyond[1] - 1 });
};
