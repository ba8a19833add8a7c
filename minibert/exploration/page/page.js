// What the reader does, and what is shown then.
let turns = 0;
let parts = [];

const complain = (error) => {
  const place = byId("error");
  place.textContent = error.message;
  place.hidden = false;
  if (!(error instanceof Refusal)) console.error(error);
};

// A part that cannot be shown says why, in its place; the others are shown.
const within = async (id, show) => {
  try {
    await show();
  } catch (error) {
    byId(id).replaceChildren(element("p", { class: "soft" }, error.message));
    if (!(error instanceof Refusal)) console.error(error);
  }
};

const SECTIONS = {
  tokens: (answers) => showTokens(answers[0][1]),
  guesses: (answers) => showGuesses(answers),
  attention: (answers) => showAttention(answers),
  walk: (answers, turn) => showSteps(answers[0][1].parts, turn),
  ablation: (answers, turn) => showAblation(answers[0][1], turn),
  gradient: (answers, turn) => showGradient(answers[0][1].tokens, turn),
  layers: (answers, turn) => showLayers(answers[0][1].tokens, turn),
  effects: (answers, turn) => showEffects(turn),  // last, since it takes a pass for each head
};
// What a choice changes; any other changes all.
const CHANGED = {
  part: ["walk"], number: ["walk"], layer: ["attention"], head: ["attention", "walk"], off: ["ablation"],
  beside: ["guesses", "attention", "layers"], target: ["effects", "gradient"], measuring: ["effects"],
};
const due = new Set();
const PAUSE = 40;  // milliseconds: of a slider that is dragged, only where it rests is asked about

const refresh = async () => {
  const turn = ++turns;
  byId("status").textContent = "computing …";
  showCheckpoints();
  if (live) await new Promise((done) => setTimeout(done, PAUSE));
  if (turn !== turns) return;
  try {
    const answer = await ask("sentence", state.step);
    if (turn !== turns) return;
    const answers = [[state.step, answer]];
    if (state.position >= answer.tokens.length || state.tokens.length === 0) state.position = answer.masked[0] ?? 1;
    state.tokens = answer.tokens;
    parts = answer.parts;
    if (state.beside !== null) answers.push([state.beside, await ask("sentence", state.beside)]);
    if (turn !== turns) return;
    byId("error").hidden = true;
    byId("target").placeholder = answer.originals[state.position] === "[MASK]" ? "the likeliest token" : answer.originals[state.position];
    for (const id of Object.keys(SECTIONS)) {
      if (!due.has(id)) continue;
      await within(id, () => SECTIONS[id](answers, turn));
      if (turn !== turns) return;  // what is still due is shown in the next turn
      due.delete(id);
    }
  } catch (error) {
    if (turn !== turns) return;
    complain(error);
  }
  byId("status").textContent = byId("error").hidden ? `${state.tokens.length} tokens${stepName(state.step)}` : "";
  document.body.dataset.shown = String(turn);
};

const choose = (choice) => {
  const changed = Object.keys(choice).flatMap((key) => CHANGED[key] ?? Object.keys(SECTIONS));
  Object.assign(state, { measuring: state.measuring && !changed.includes("effects") }, choice);
  for (const id of changed) due.add(id);
  document.body.dataset.shown = "";
  refresh();
};

// Another sentence: nothing of the last one is kept.
const read = (text, masked = []) => choose({ text, masked, position: 0, tokens: [], target: null });

const showCheckpoints = () => {
  const several = data.steps.length > 1;
  byId("checkpoints").hidden = !several;
  for (const [name, step] of [["step", state.step], ["beside", state.beside]]) {
    const slider = byId(name), words = step === null ? "" : `step ${step.toLocaleString("en")}`;
    slider.max = data.steps.length - 1;
    if (step !== null) slider.value = data.steps.indexOf(step);
    slider.setAttribute("aria-valuetext", words);
    byId(`${name}_shown`).textContent = words;
  }
  byId("beside_label").hidden = state.beside === null;
};

document.body.classList.toggle("exported-page", !live);
byId("sentence").value = data.text;
byId("sentence_form").addEventListener("submit", (event) => { event.preventDefault(); read(byId("sentence").value); });
byId("target_form").addEventListener("submit", (event) => { event.preventDefault(); choose({ target: byId("target").value.trim() || null }); });
byId("mask").addEventListener("click", toggleMask);
byId("tokens").dataset.follows = "true";
byId("tokens").addEventListener("keydown", (event) => { if (event.key.toLowerCase() === "m" && !event.ctrlKey && !event.metaKey && !event.altKey) toggleMask(); });
roving(byId("tokens"), () => 1);
roving(byId("heads"), () => data.heads);
roving(byId("switches"), () => data.heads);
byId("step").addEventListener("input", (event) => choose({ step: data.steps[event.target.value] }));
byId("beside").addEventListener("input", (event) => choose({ beside: data.steps[event.target.value] }));
byId("beside_on").addEventListener("change", (event) => choose({ beside: event.target.checked ? data.steps[0] : null }));
byId("part").addEventListener("change", (event) => choose({ part: event.target.value, number: 0 }));
byId("previous").addEventListener("click", () => walk(-1, parts));
byId("next").addEventListener("click", () => walk(1, parts));
if (!live) {
  const sentences = [...new Map(data.answers.filter(([question]) => question.kind === "sentence").map(([question]) => [JSON.stringify([question.text, question.masked]), question])).values()];
  byId("choice").append(...sentences.map(({ text, masked }, index) => element("option", { value: index }, masked.length ? `${text} (masked: ${masked.join(", ")})` : text)));
  byId("choice").addEventListener("change", (event) => { const { text, masked } = sentences[event.target.value]; read(text, masked); });
  read(sentences[0].text, sentences[0].masked);
} else {
  read(data.text);
}
