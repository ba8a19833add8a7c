"""How does the size of a network relate to the quality of its representations?"""

import math
from collections.abc import Mapping, Sequence

from minibert.errors import sentence
from minibert.tracking import Store

from ..examination import Examination
from ..findings import SIGNIFICANCE, Findings
from ..formatting import count, p_value, show_estimate, with_difference
from ..statistics import mean_interval
from . import representation_scaling_figures
from .power_laws import LACKING
from .probe_records import reasons
from .rank_correlations import rank_correlations
from .representation_scaling_laws import Laws, fit_laws, mean_loss
from .representation_scaling_runs import AMOUNTS, LOSS, Budget, SizedRun, find_budgets, in_millions, read_sizes
from .representation_scaling_tables import (
    RANK,
    Relations,
    correlation,
    correlations_table,
    laws_table,
    loss,
    losses_table,
    operations,
    quality_table,
    within,
)

TITLE, TITLE_WITHOUT_SCORES = "How loss and representations change with size", "How the loss changes with size"
INSTRUMENTS = ("probing", "minimal_pairs")
LIMITS = (
    "Every size has the learning rate and the schedule of the recipe: a rate that is tuned for each could "
    "change both laws.",
    "A power law over so few sizes describes these sizes. It does not say how a larger network would do.",
    "Sizes at equal compute differ in steps: a large network that has had few steps is compared with a small "
    "one that has had many. What each would reach in the end is another question.",
    "One corpus and one recipe.",
)
LIMIT_OF_LADDERS = "Wider networks are also deeper here: which of the two matters is not told."
LIMIT_OF_SCORES = (
    "A probe of a wider layer has more numbers to read from. Its control, the untrained network of the same "
    "size, has them as well."
)


def examine(store: Store, findings: Findings) -> Examination | None:
    """The study's results on sizes; None if no three sizes have had the same tokens or the same compute."""
    finished = [run for group in findings.groups for run in group.runs]
    runs = read_sizes(finished)
    budgets = find_budgets(runs)
    if not budgets:
        return None
    complete = len(runs) >= max(len(findings.study.planned), len(findings.study.runs))
    laws = [fit_laws(budget) for budget in budgets]
    names = list(dict.fromkeys(name for run in runs for name in run.qualities))
    found = {name: _against_loss(runs, name) for name in names}
    left_out = [
        f"{instrument.replace('_', ' ').capitalize()} did not answer in every run: {' '.join(map(sentence, why))}"
        for instrument in INSTRUMENTS
        if (why := reasons(finished, instrument))
    ]
    return Examination(
        title=TITLE if names else TITLE_WITHOUT_SCORES,
        answer=answer(laws, found, findings.study.question is not None, "tried" if complete else "with a result"),
        sentences=tuple(description(laws, found)),
        tables=(
            losses_table(laws),
            laws_table(laws),
            *(quality_table(budget, names) for budget in budgets if names),
            *([correlations_table(found)] if found else []),
        ),
        figures=representation_scaling_figures.draw(laws, runs, names),
        limits=(*LIMITS, *_further_limits(runs, names), *left_out),
    )


def examine_sizes(store: Store, findings: Findings) -> Examination | None:
    """The same of any sweep over networks of several sizes.

    None too where two values have the same size, or their losses do not compare, as those of other vocabularies.
    """
    finished = [group.runs for group in findings.groups if group.runs]
    sizes = {run.weights for runs in finished for run in read_sizes(runs[:1])}
    vocabularies = {run.parameters.get("model.vocab_size") for runs in finished for run in runs}
    if len(sizes) < len(finished) or len(vocabularies) > 1:
        return None
    return examine(store, findings)


def _further_limits(runs: Sequence[SizedRun], names: Sequence[str]) -> list[str]:
    """Those of networks that differ in depth and width at once, and of scores, if there are any."""
    layers = {run.run.parameters.get("model.layers") for run in runs}
    ladder = len(layers) > 1 and len({run.width for run in runs}) > 1
    return [*([LIMIT_OF_LADDERS] if ladder else []), *([LIMIT_OF_SCORES] if names else [])]


def answer(laws: Sequence[Laws], found: Mapping[str, Relations], asked: bool = True, tried: str = "tried") -> str:
    """The sentences that answer the study's question, from the numbers alone: which size is best, and, if that was
    ``asked``, whether representations follow the loss. ``tried``: what the sizes are that results are of."""
    first, *others = laws
    lowest = [_lowest(first, tried, " weights"), *(_lowest(other, tried) for other in others)]
    best = f"The held-out loss is lowest {' and '.join(lowest)}."
    return f"{best} {_followed(found)}" if asked or found else best


def description(laws: Sequence[Laws], found: Mapping[str, Relations]) -> list[str]:
    """Each budget with its law, scores beside the loss and beside their control, and the effective rank."""
    budgets = [law.budget for law in laws]
    told = [_of_budget(law) for law in laws]
    told += [
        f"No three sizes have had {name.replace('equal', 'the same')}, so nothing is said of that."
        for name in AMOUNTS
        if name not in [budget.name for budget in budgets]
    ]
    if found:
        listed = "; ".join(f"{name} {correlation(each.with_loss)}" for name, each in found.items())
        told += [_of_gains(found), f"Spearman's ρ of each score with the loss, over all runs: {listed}."]
        told += [_beside_untrained(budget, list(found)) for budget in budgets]
    return [*told, *(rank for budget in budgets if (rank := _of_rank(budget)))]


def _lowest(law: Laws, tried: str, unit: str = "") -> str:
    """``at equal compute with 0.15 M, 3.752 ± 0.020 nats (0.44 M: +0.745 [+0.690, +0.800])``"""
    budget = law.budget
    ends = {budget.sizes[0]: f", the smallest {tried}", budget.sizes[-1]: f", the largest {tried}"}
    return (
        f"at {budget.name} with {in_millions(law.best)}{unit}{ends.get(law.best, '')}, "
        f"{loss(mean_loss(budget, law.best))} nats ({_beside_next(law)})"
    )


def _beside_next(law: Laws) -> str:
    """``0.15 M: +0.104 [+0.091, +0.117]``: the next best size, less the best, and what else is not separated"""
    means = {size: difference.mean for size, (difference, _) in law.over_others.items()}
    following = min(means, key=lambda size: means[size])
    difference, p = law.over_others[following]
    told = "" if p < SIGNIFICANCE else ", not separated"
    level = [size for size, (_, p) in law.over_others.items() if size != following and not p < SIGNIFICANCE]
    if told and level:
        names = "any other size" if len(level) == len(means) - 1 else " and ".join(map(in_millions, level))
        told += f"; nor {'are' if ' and ' in names else 'is'} {names}"
    return f"{in_millions(following)}: {with_difference(difference, LOSS)}{told}"


def _followed(found: Mapping[str, Relations]) -> str:
    """How many scores go with the loss, and how many cannot be told."""
    if not found:
        return "No run has results of probes or minimal pairs."
    better = sum(each.with_loss.high < 0 for each in found.values())
    worse = sum(each.with_loss.low > 0 for each in found.values())
    return (
        f"Of {len(found)} scores of the representations, {count(better)} clearly "
        f"{'rises' if better == 1 else 'rise'} as the loss falls, {count(worse)} "
        f"{'falls' if worse == 1 else 'fall'}, and {count(len(found) - better - worse)} cannot be told."
    )


def _of_budget(law: Laws) -> str:
    budget = law.budget
    tokens = budget.name == "equal tokens"
    used = f"{budget.amount:,.0f} tokens" if tokens else f"{operations(budget.amount)} operations"
    ends = [
        f"{loss(mean_loss(budget, size))} with {in_millions(size)}" for size in (budget.sizes[0], budget.sizes[-1])
    ]
    bracketed = not tokens and law.lowest.n > 1
    return (
        f"At {budget.name} ({used}), the held-out loss is {ends[0]} weights in the layers and {ends[1]}. "
        f"{_parabola(law) if bracketed else _law(law)}"
    )


def _parabola(law: Laws) -> str:
    """The best size between those of the ladder. Where there is one, no power law describes the losses."""
    low, high = (in_millions(10**end) for end in (law.lowest.low, law.lowest.high))
    seeds = len({run.run.replicate for run in law.budget.runs})
    fitted = "" if law.lowest.n == seeds else f" (in {law.lowest.n} of {seeds} seeds)"
    fit = "" if law.parabola is None else _fit(law.parabola.lack_of_fit)
    return f"A parabola in log N is lowest at {in_millions(10**law.lowest.mean)} [{low}, {high}]{fitted}{fit}."


def _law(law: Laws) -> str:
    """What power law the losses follow, if any."""
    floored, pure = law.floored, law.pure
    if floored is not None and floored.identified:
        exponent = within(floored.c, floored.c_low, floored.c_high)
        floor = within(floored.a, floored.a_low, floored.a_high)
        fit = _fit(floored.lack_of_fit)
        return f"L(N) = a + b N^-c has the exponent c = {exponent} and the floor a = {floor} nats{fit}."
    if pure is None:
        return "These are too few runs for a power law."
    if math.isnan(pure.c_low):
        return (
            f"Each size has one run, so the spread between trainings is not known: b N^-c has the exponent c = "
            f"{within(pure.c, pure.c_low, pure.c_high)}, without an interval, and whether it holds cannot be told."
        )
    why = "four sizes are needed for it" if floored is None else "other floors and exponents fit as well"
    exponent = within(pure.c, pure.c_low, pure.c_high)
    falls = "falls with size" if pure.c_low > 0 else "rises with size" if pure.c_high < 0 else "may be level"
    fit = _fit(pure.lack_of_fit)
    return (
        f"A floor of the loss cannot be told ({why}); b N^-c has the exponent c = {exponent}, by which the loss "
        f"{falls}{fit}."
    )


def _fit(p: float) -> str:
    if not p < LACKING:
        return ""
    return f", but the means of sizes are off it (p of lack of fit {p_value(p)})"


def _of_gains(found: Mapping[str, Relations]) -> str:
    """How many gains over the untrained network go with the loss, and which scores with the size beyond that."""
    gains = sum(each.gain_with_loss.high < 0 for each in found.values())
    beyond = [
        f"{name} (partial ρ {correlation(each.with_size)})" for name, each in found.items() if each.with_size.told
    ]
    return (
        f"Of the gains of these scores over the untrained network, {count(gains)} of {len(found)} clearly "
        f"{'rises' if gains == 1 else 'rise'} as the loss falls. At the same loss, size goes with "
        f"{_listed(beyond) if beyond else 'none of them'}."
    )


def _beside_untrained(budget: Budget, names: Sequence[str]) -> str:
    """Where a trained network does not clearly score more than before training."""
    short = []
    for name in names:
        sizes = [in_millions(size) for size in budget.sizes if not _above_untrained(budget, size, name)]
        every = len(sizes) == len(budget.sizes)
        if sizes:
            short.append(f"{name} ({'any size' if every else ', '.join(sizes)})")
    if not short:
        return f"At {budget.name}, every score of every size is above that of the untrained network."
    return (
        f"At {budget.name}, these scores are not clearly above those of the untrained network: {'; '.join(short)}."
    )


def _above_untrained(budget: Budget, size: int, name: str) -> bool:
    scores = [run.qualities[name] for run in budget.of_size(size) if name in run.qualities]
    return mean_interval([score.gain for score in scores]).low > 0


def _of_rank(budget: Budget) -> str:
    """How many directions the hidden states use in the smallest and in the largest network."""
    ends = []
    for size in (budget.sizes[0], budget.sizes[-1]):
        runs = budget.of_size(size)
        rank = mean_interval([run.rank for run in runs])
        if not rank.n:
            return ""
        ends.append(f"{show_estimate(rank, RANK)} of {runs[0].width}")
    return (
        f"At {budget.name}, the effective rank of the hidden states after the last layer is {ends[0]} in the "
        f"smallest network and {ends[1]} in the largest."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _against_loss(runs: Sequence[SizedRun], name: str) -> Relations:
    asked = [run for run in runs if name in run.qualities]
    sizes, losses, settings = zip(*((run.weights, run.loss, run.setting) for run in asked), strict=True)
    scores = [run.qualities[name] for run in asked]
    with_loss, with_size = rank_correlations([score.value for score in scores], sizes, losses, settings)
    gain_with_loss, _ = rank_correlations([score.gain for score in scores], sizes, losses, settings)
    return Relations(with_loss, with_size, gain_with_loss)
