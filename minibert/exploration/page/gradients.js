// The gradient of one prediction, and layers compared.
const showGradient = async (tokens, turn) => {
  const found = await ask("gradient", state.step, { position: state.position, target: state.target });
  if (turn !== turns) return;
  const logs = found.norms.map((row) => row.map((norm) => Math.log10(Math.max(norm, 1e-30))));
  const all = logs.flat(), high = Math.max(...all), low = Math.max(Math.min(...all), high - 6);
  const order = found.places.map((_, place) => found.places.length - 1 - place);
  const sizes = found.attributions, most = Math.max(...sizes.map(Math.abs));
  byId("gradient").replaceChildren(
    element("p", {}, `Loss = −log p(${found.target}) at token ${state.position} = ${shown(found.loss)} nats.`),
    matrix({ label: "Length of the gradient at every place and token, as a power of ten", rows: order.map((place) => found.places[place]), columns: tokens, value: (row, column) => logs[order[row]][column], colour: scales.between(low, high), size: 24, pick: (_, column) => choose({ position: column }),
      caption: "log₁₀ of ‖∂loss/∂h‖. The gradient starts at the top, at the chosen token, and flows down to the embeddings; attention carries it to other tokens." }),
    table("At every residual block: the gradient that passes by the branch, and the part that passed through it (norms over all tokens)", ["block", "past it", "through it"], [...found.blocks].reverse()),
    matrix({ label: "Gradient times input of every token's embedding", rows: [`log p(${found.target})`], columns: tokens, value: (_, column) => sizes[column], colour: scales.signed(most), size: 30,
      caption: "Gradient times input: the slope of log p as the token's vector is made longer; red raises it, blue lowers it." }),
    element("details", {}, element("summary", {}, "Gradients of the parameters"), table("Length of the gradient of every parameter", ["parameter", "norm"], found.parameters)));
};

const showLayers = async (tokens, turn) => {
  const found = await ask("layers", state.step, state.beside === null ? {} : { beside: state.beside });
  if (turn !== turns) return;
  const against = state.beside === null ? "" : ` of step ${state.step.toLocaleString("en")} (rows) and step ${state.beside.toLocaleString("en")} (columns)`;
  const pictures = [["Linear CKA", found.similarity], ["Mean cosine of the same token", found.cosines]].filter(([, values]) => values !== null)
    .map(([name, values]) => matrix({ label: `${name} between layers${against}`, rows: found.places, columns: found.other_places, value: (row, column) => values[row][column], colour: scales.unit, size: 42, numbers: true, caption: `${name}${against}: 1 for representations that are alike.` }));
  const changes = found.changes.map((_, layer) => found.places[layer + 1]);
  byId("layers").replaceChildren(element("div", { class: "pair" }, ...pictures),
    ...(found.similarity === null ? [element("p", { class: "soft" }, "CKA needs four tokens.")] : []),
    matrix({ label: "How much each layer changes each token", rows: changes, columns: tokens, value: (row, column) => found.changes[row][column], colour: scales.between(0, Math.max(...found.changes.flat())), size: 20,
      caption: "‖h after − h before‖ / ‖h before‖ of every token in every layer. In a pre-norm network the last one includes the final norm." }));
};
