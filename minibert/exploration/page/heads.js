// Heads switched off, and what each head does.
const isOff = (layer, head) => state.off.some(([one, other]) => one === layer && other === head);

const showSwitches = () =>
  headGrid("switches", isOff, (layer, head) =>
    choose({ off: isOff(layer, head) ? state.off.filter(([one, other]) => one !== layer || other !== head) : [...state.off, [layer, head]].sort((a, b) => a[0] - b[0] || a[1] - b[1]) }),
  (layer, head) => `layer ${layer}, head ${head}: ${isOff(layer, head) ? "off" : "on"}`, () => []);

const showAblation = async (answer, turn) => {
  showSwitches();
  const place = byId("ablation");
  if (state.off.length === 0) return place.replaceChildren(element("p", { class: "soft" }, "All heads are on. Press one to switch it off."));
  const found = await ask("ablation", state.step, { heads: state.off });
  if (turn !== turns) return;
  const at = state.position, names = state.off.map(([layer, head]) => `L${layer} H${head}`).join(", ");
  const known = answer.originals[at] !== "[MASK]";
  place.replaceChildren(
    element("p", {}, `Without ${names}: the prediction at token ${at} changes by ${shown(found.divergences[at])} nats (KL)${known ? `; log p(${answer.originals[at]}) goes from ${shown(found.original_before[at])} to ${shown(found.original_after[at])}` : ""}.`),
    table(`Guesses at token ${at} with all heads, and without ${names}`, ["all heads", "p", "without", "p"],
      found.before[at].map(([token, share], rank) => [token, percent(share), found.after[at][rank][0], percent(found.after[at][rank][1])])),
    table("Change of the prediction at every token, KL(p ‖ p′) in nats", answer.tokens, [found.divergences]));
};

// In a large network, a pass for each head takes a while, so it waits for a wish.
const MANY_HEADS = 48;

const showEffects = async (turn) => {
  if (live && data.layers * data.heads > MANY_HEADS && !state.measuring)
    return byId("effects").replaceChildren(element("button", { type: "button", onclick: () => choose({ measuring: true }) }, `Measure all ${data.layers * data.heads} heads, one pass each`));
  const found = await ask("effects", state.step, { position: state.position, target: state.target });
  if (turn !== turns) return;
  const most = Math.max(...found.effects.flat().map(Math.abs));
  const rows = found.effects.map((_, layer) => `layer ${layer}`), columns = found.effects[0].map((_, head) => `head ${head}`);
  byId("effects").replaceChildren(
    matrix({ label: `Fall of log p(${found.target}) without each head`, rows, columns, value: (layer, head) => found.effects[layer][head], colour: scales.signed(most), size: 40, numbers: true, pick: (layer, head) => choose({ layer, head }),
      caption: `log p(${found.target}) = ${shown(found.log_probability)} at token ${state.position}. Numbers: how many nats it falls without that head alone; red heads help, blue ones hinder.` }));
};
