// Shows how the run stands, and asks again until it has ended.
let state = JSON.parse(byId("data").textContent);
let paused = false, timer = null;

const clock = (seconds) => {
  if (seconds === null) return "–";
  const left = Math.max(Math.round(seconds), 0);
  return [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60].map((part, place) => (place ? String(part).padStart(2, "0") : String(part))).join(":");
};

// What changes is replaced, and only that: a screen reader tells it again.
const put = (id, text) => {
  if (byId(id).textContent !== text) byId(id).textContent = text;
};

const table = (place, head, rows) =>
  place.replaceChildren(element("table", { class: "numbers" },
    element("thead", {}, element("tr", {}, ...head.map((title) => element("th", { scope: "col" }, title)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, column) => element("td", column ? { class: "number" } : {}, cell)))))));

const named = (part) => (part === "global" ? "whole network" : part.replaceAll("_", " "));

const ratio = (value) => (value === null || value === undefined ? "–" : value.toExponential(1).replace("-", "−"));

const facts = () => {
  const last = (curve) => shown(curve.values.at(-1));
  const found = {
    step: `${whole(state.step)} of ${whole(state.steps)}`,
    "training loss": last(state.training),
    "held-out loss": last(state.held_out),
    "tokens a second": state.tokens_per_second === null ? "–" : whole(state.tokens_per_second),
    elapsed: clock(state.elapsed),
    "to the last step": state.ended ? "–" : clock(state.left),
  };
  if (state.silent !== null && state.silent > 60) found["nothing new for"] = clock(state.silent);
  byId("facts").replaceChildren(...Object.entries(found).map(([term, text]) => element("div", {}, element("dt", {}, term), element("dd", {}, text))));
};

const findings = () => {
  const told = state.findings.map((each) => `${each.severity}: ${each.evidence} Likely cause: ${each.cause} Try: ${each.advice}`);
  if (!told.length && state.training.values.length) told.push("Nothing is wrong in what is recorded.");
  const list = byId("findings"), before = [...list.children].map((item) => item.textContent);
  if (told.join("\n") === before.join("\n")) return;
  list.replaceChildren(...told.map((text, place) => {
    const severity = state.findings[place]?.severity ?? "note", mark = `${severity}:`;
    return text.startsWith(mark) ? element("li", { class: severity }, element("strong", {}, mark), text.slice(mark.length)) : element("li", { class: "soft" }, text);
  }));
};

const show = () => {
  put("phase", state.phase);
  byId("why").hidden = !state.why;
  put("why", state.why);
  byId("progress").max = Math.max(state.steps, 1);
  byId("progress").value = state.step;
  facts();
  findings();
  const logSteps = byId("log").checked;
  chart(byId("loss"), {
    label: `Loss in nats per predicted token: training ${shown(state.training.values.at(-1))}, held out ${shown(state.held_out.values.at(-1))}`,
    unit: "nats", logSteps, levels: state.levels,
    lines: [{ name: "training", ...state.training }, { name: "held out", ...state.held_out }],
  });
  const accuracy = new Map(state.accuracies.steps.map((step, place) => [step, state.accuracies.values[place]]));
  const evaluations = state.held_out.steps.map((step, place) => [whole(step), shown(state.held_out.values[place]), accuracy.has(step) ? `${(100 * accuracy.get(step)).toFixed(1)} %` : "–"]);
  table(byId("evaluations"), ["step", "held-out loss", "masked accuracy"], evaluations.reverse());
  const lines = state.updates.map(({ part, steps, values }) => ({ name: named(part), steps, values }));
  chart(byId("updates"), { label: "Ratio of update and weights, by part of the network", unit: "", logSteps, logValues: true, lines });
  const fastest = [...lines].sort((one, other) => (other.values.at(-1) ?? 0) - (one.values.at(-1) ?? 0));
  table(byId("ratios"), ["part, the fastest first", "first", "last", "at step"], fastest.map((line) => [line.name, ratio(line.values[0]), ratio(line.values.at(-1)), whole(line.steps.at(-1) ?? 0)]));
  byId("pause").hidden = state.ended;
  document.title = state.ended ? `${state.name}: ${state.phase}` : `${state.name}: step ${whole(state.step)}`;
  document.body.dataset.shown = `${state.phase} ${state.step}`;
};

const complain = (text) => {
  byId("error").hidden = !text;
  put("error", text);
};

const again = () => {
  clearTimeout(timer);
  if (!state.ended && !paused) timer = setTimeout(look, 1000 * state.pause);
};

const look = async () => {
  try {
    const answer = await (await fetch("state")).json();
    if (paused) return;  // it was asked before the reader wished for a pause
    if (answer.error === undefined) state = answer;
    complain(answer.error ?? "");
    show();
  } catch {
    complain("The view does not answer any more. Start it again and reload this page. The run is left as it is.");
  }
  again();
};

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  if (paused) clearTimeout(timer);
  else look();
});
byId("log").addEventListener("change", show);
addEventListener("resize", show);
show();
again();
