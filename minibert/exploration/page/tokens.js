// The tokens of the sentence, and the guesses at the chosen one.
const showTokens = (answer) => {
  const place = byId("tokens");
  const focused = place.contains(document.activeElement);
  place.replaceChildren(...answer.tokens.map((token, index) => {
    const masked = answer.masked.includes(index);
    const kinds = [masked ? "masked" : "", answer.ordinary[index] ? "" : "special"].filter(Boolean).join(" ");
    const was = masked && answer.originals[index] !== "[MASK]" ? `, was ${answer.originals[index]}` : "";
    return element("button", {
      type: "button", class: kinds, "aria-pressed": String(index === state.position), tabindex: index === state.position ? "0" : "-1",
      "aria-label": `token ${index}: ${token}${was}`, title: was ? `${token}${was}` : token, onclick: () => choose({ position: index }),
    }, token);
  }));
  if (focused) place.children[state.position]?.focus();
  const mask = byId("mask"), own = state.masked.includes(state.position);
  mask.textContent = own ? `Show “${answer.originals[state.position]}” again` : `Mask “${shortened(answer.tokens[state.position], 30)}”`;
  mask.disabled = !own && (!answer.ordinary[state.position] || answer.masked.includes(state.position));
};

const toggleMask = () => {
  if (!live || byId("mask").disabled) return;
  const { position, masked } = state;
  choose({ masked: masked.includes(position) ? masked.filter((each) => each !== position) : [...masked, position].sort((a, b) => a - b) });
};

const guessTable = (answer, title) => {
  const at = state.position;
  const most = answer.guesses[0][at].length;
  const rows = answer.places.map((place, layer) => {
    const guesses = answer.guesses[layer][at].map(([token, share]) => {
      const cell = element("td", { class: "guess" }, element("code", {}, shortened(token, 20)), ` ${percent(share)}`);
      cell.style.setProperty("--share", `${100 * share}%`);
      return cell;
    });
    return [element("th", { scope: "row" }, layer === answer.places.length - 1 ? `${place} (output)` : place), ...guesses, answer.entropies[layer][at],
      answer.originals[at] === "[MASK]" ? "–" : `${percent(answer.original_probabilities[layer][at])}, rank ${answer.original_ranks[layer][at]}`];
  });
  const head = ["after", ...Array.from({ length: most }, (_, rank) => `guess ${rank + 1}`), "entropy (nats)", `“${shortened(answer.originals[at], 12)}”`];
  return table(title, head, rows);
};

const showGuesses = (answers) => {
  byId("guesses").replaceChildren(...answers.map(([step, answer]) =>
    guessTable(answer, `Guesses at token ${state.position}, ${answer.tokens[state.position]}${stepName(step)}`)));
};

const stepName = (step) => (data.steps.length > 1 ? `, step ${step.toLocaleString("en")}` : "");
