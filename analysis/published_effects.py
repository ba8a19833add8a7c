"""Effects that others published, beside what the lab book measured:  python -m analysis.published_effects

Writes ``experiments/published_effects/README.md`` from the tables of other pages of the lab book, and the index.
``python -m analysis.lab_book`` does so after every page. Nothing is written where a page or its table is missing.
"""

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from minibert.config import ROOT
from minibert.errors import MinibertError
from minibert.files import replacing

from .figure_parts import save
from .formatting import capital, signed
from .lab_book_index import BEGIN, END, write_index
from .published_effects_figure import Panel, effects
from .questions.rank_correlations import Correlation, rank_correlations

NAME, FIGURE = "published_effects", "effects.png"
CAPTION = (
    "What was measured for each claim, with its 95 % interval; filled: on one side of 0. Left and middle: loss "
    "less that at 15 % and less that of absolute positions, seed by seed. Right: rank correlations over settings."
)
TITLE = "# Do effects that others published appear here?"
OPENING = f"""{TITLE}

Three claims of the literature, each beside a difference or a correlation that this lab book measured. *Direction*
says whether the 95 % interval lies on the side that the claim names. Networks, texts and tasks are others, so an
effect need not have their size. All numbers are made from the pages that are linked.
"""
NUMBER = re.compile(r"[+−-]?\d+(?:,\d{3})*(?:\.\d+)?")
SAME, OTHER, OPEN = "as published", "opposite", "cannot be told"
LOSS = "held-out loss"
WEAK = 0.5
"""A rank correlation below this tells too little of a score to choose by"""


@dataclass(frozen=True)
class Measured:
    """What the lab book has on a claim."""

    direction: str
    """:data:`SAME`, :data:`OTHER` or :data:`OPEN`"""
    short: str
    """For the table"""
    sentences: str
    panel: Panel
    over: str = ""
    """What it was measured over, if that is less than what the claim is of"""


@dataclass(frozen=True)
class Claim:
    title: str
    page: str
    """The folder of the page that it is compared with"""
    source: str
    stated: str
    differs: str
    """What is another here than there, and so may be why a direction or a size is another"""
    measure: Callable[[str], Measured]
    """Of the text of the page"""


def write_published_effects(folder: Path) -> Path | None:
    """Write the page of the lab book in ``folder``; None, and nothing is written, if a page that it needs is not
    there."""
    pages = {claim.page: folder / claim.page / "README.md" for claim in CLAIMS}
    if not all(page.exists() for page in pages.values()):
        return None
    texts = {name: page.read_text(encoding="utf-8") for name, page in pages.items()}
    if not all(BEGIN in text for text in texts.values()):
        return None
    path = folder / NAME / "README.md"
    path.parent.mkdir(exist_ok=True)
    found = measure(texts)
    with replacing(path) as temporary:
        temporary.write_text(page_of(found), encoding="utf-8")
    save(effects([measured.panel for _, measured in found]), path.with_name(FIGURE))
    return path


def measure(texts: Mapping[str, str]) -> list[tuple[Claim, Measured]]:
    """Each claim with what the lab book has on it, from the texts of its pages: name -> text.

    Raises :class:`MinibertError` if one of these has no table that a claim is compared with.
    """
    return [(claim, claim.measure(texts[claim.page])) for claim in CLAIMS]


def page_of(found: Sequence[tuple[Claim, Measured]]) -> str:
    """The text of the page."""
    rows = [
        f"| {claim.title} | {measured.direction} | {measured.short} | [{claim.page}](../{claim.page}/README.md) |"
        for claim, measured in found
    ]
    agreeing = [claim.title for claim, measured in found if measured.direction == SAME]
    others = [
        f"{claim.title} ({measured.direction}{f': {measured.over}' if measured.over else ''})"
        for claim, measured in found
        if measured.direction != SAME
    ]
    answer = f"{len(agreeing)} of {len(found)} published effects have the published direction here"
    answer += f": {'; '.join(agreeing)}." if agreeing else "."
    answer += f" Others: {'; '.join(others)}." if others else ""
    table = ["| claim | direction | here | page |", "| --- | --- | --- | --- |", *rows]
    sections = [
        f"## {claim.title}\n\n**Claim.** {claim.stated} {claim.source}\n\n**Here.** {measured.sentences}\n\n"
        f"**What differs.** {claim.differs}"
        for claim, measured in found
    ]
    figure = f"![{CAPTION.partition(',')[0]}]({FIGURE})\n\n{CAPTION}"
    pages = ", ".join(claim.page for claim in CLAIMS)
    made = f"Made with `python -m analysis.published_effects` from the pages {pages}, without training."
    parts = [OPENING, BEGIN, f"**{answer}**", "\n".join(table), figure, *sections, made, END]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def read_table(text: str, beginning: str) -> list[dict[str, str]]:
    """The rows of the first table of a page whose title begins so: column -> cell.

    Raises :class:`MinibertError` if there is none.
    """
    lines = text.splitlines()
    titles = [place for place, line in enumerate(lines) if line.startswith(beginning) and line.endswith(":")]
    if not titles or not lines[titles[0] + 2 :] or not lines[titles[0] + 2].startswith("|"):
        raise MinibertError(f"'{beginning}': no table of the page begins so. Write the page again from its runs.")
    rows = []
    for line in lines[titles[0] + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    columns, _, *cells = rows
    return [dict(zip(columns, row, strict=True)) for row in cells]


def numbers(cell: str) -> list[float]:
    """The numbers of a cell.

    >>> numbers("−0.476 [−0.657, −0.295]"), numbers("1,023,978")
    ([-0.476, -0.657, -0.295], [1023978.0])
    """
    return [float(found.replace("−", "-").replace(",", "")) for found in NUMBER.findall(cell)]


def _differences(text: str) -> dict[str, str]:
    """Value of the factor -> difference to the baseline with its interval, as the page has it."""
    rows = read_table(text, "Held-out loss")
    column = next(name for name in rows[0] if name.startswith("difference to "))  # others: to references
    first = next(iter(rows[0]))
    return {row[first]: row[column] for row in rows if len(numbers(row[column])) == 3}


def _bars(cells: Mapping[str, str]) -> dict[str, tuple[float, float, float]]:
    found = {}
    for name, cell in cells.items():
        value, low, high = numbers(cell)
        found[name] = value, low, high
    return found


def _side(cell: str) -> str:
    _, low, high = numbers(cell)
    return SAME if high < 0 else OTHER if low > 0 else OPEN


def _masking(text: str) -> Measured:
    found = _differences(text)
    above = {rate: cell for rate, cell in found.items() if numbers(rate)[0] > 0.15}
    worse = [f"{rate} ({cell})" for rate, cell in above.items() if _side(cell) == OTHER]
    lower = [f"{rate} ({cell})" for rate, cell in above.items() if _side(cell) == SAME]
    sentences = f"The {LOSS}, less that of 15 %, is lower at {', '.join(lower) or 'no rate'}"
    sentences += f", and higher at {', '.join(worse)}." if worse else "."
    panel = Panel("masking more than 15 %", "loss less that at 0.15 (nats)", _bars(above))
    short = f"40 % less 15 %: {found['0.40']} nats"
    return Measured(_side(found["0.40"]), short, f"{sentences} Nats, by seed.", panel)


def _positions(text: str) -> Measured:
    found = _differences(text)
    relative = {name: found[name] for name in ("relative", "relative_bias", "rope", "alibi") if name in found}
    shown = [f"{name} {cell}" for name, cell in relative.items()]
    sentences = f"The {LOSS}, less that of absolute positions, in nats by seed: {'; '.join(shown)}."
    panel = Panel("relative positions", "loss less that of absolute (nats)", _bars(relative))
    short = f"relative less absolute: {found['relative']} nats"
    return Measured(_side(found["relative"]), short, sentences, panel)


def _rank(text: str) -> Measured:
    settings = {row[next(iter(row))]: row for row in read_table(text, "Loss and size")}
    scores: dict[str, dict[str, float]] = {}
    for budget in ("equal tokens", "equal compute"):
        for row in read_table(text, f"Quality by size, {budget}"):
            score, *sizes = row
            for size in sizes:
                scores.setdefault(row[score], {})[f"{budget}, {size}"] = numbers(row[size])[0]
    # The size that both budgets share is one setting.
    names = list({tuple(row.values())[1:6]: name for name, row in settings.items()}.values())
    ranks, shares, losses = (
        [numbers(settings[name][column])[0] for name in names]
        for column in ("effective rank of hidden states", "of the width", "held-out loss (nats)")
    )

    def correlated(values: list[float], sign: int = 1) -> dict[str, Correlation]:
        """Spearman's ρ of each score with the values, over settings."""
        found = {}
        for score, by_setting in scores.items():
            quality = [by_setting[name] for name in names]
            found[score] = rank_correlations([sign * value for value in values], quality, quality, names)[0]
        return found

    by_rank, by_share, by_loss = correlated(ranks), correlated(shares), correlated(losses, -1)
    told = [score for score, each in by_rank.items() if each.told]
    bounded = all(max(abs(each.low), abs(each.high)) < WEAK for each in by_rank.values())
    direction = OTHER if len(told) > len(by_rank) / 2 else SAME if bounded else OPEN
    listed = "; ".join(f"{score} {_shown(each)}" for score, each in by_rank.items())
    over = f"tested over {len(names)} settings of size and budget of one recipe, and over no other variants"
    sentences = (
        f"{capital(over)}. Spearman's ρ of the effective rank of the hidden states after the last layer with each "
        f"score: {listed}. Its interval is on one side of 0 in {_of(by_rank)}; "
        f"with the rank as a share of the width in {_of(by_share)}; with the {LOSS}, taken negative, in "
        f"{_of(by_loss)}."
    )
    if direction == OPEN:
        sentences += (
            f" So no clear relation is seen, but {len(names)} settings do not exclude a strong one: a "
            "correlation of "
            f"{WEAK} would take about {_settings_to_tell(WEAK)} settings to be told in four cases of five."
        )
    middle = sorted(by_rank.values(), key=lambda each: each.value)[len(by_rank) // 2]
    short = f"ρ of rank and score clear in {_of(by_rank)}; median {_shown(middle)}"
    bars = {score: (each.value, each.low, each.high) for score, each in by_rank.items()}
    panel = Panel("rank of representations", "rank correlation with the score (ρ)", bars)
    return Measured(direction, short, sentences, panel, over)


def _settings_to_tell(correlation: float) -> int:
    """By Fisher's transformation, of which the standard error is 1 / √(n − 3)."""
    both = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    return math.ceil((both / math.atanh(correlation)) ** 2 + 3)


def _shown(found: Correlation) -> str:
    return f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}]"


def _of(found: Mapping[str, Correlation]) -> str:
    told = sum(each.told for each in found.values())
    return f"{told} of {len(found)}"


CLAIMS = (
    Claim(
        "Masking more than 15 % is no worse",
        "masking_sweep",
        'Source: Wettig, Gao, Zhong and Chen, "Should You Mask 15% in Masked Language Modeling?", preprint of '
        "2022, "
        "EACL 2023.",
        "A BERT of large size learns at least as much for its downstream tasks with 40 % of the tokens masked as "
        "with the usual 15 %; the best ratio grows with the size.",
        "Theirs is a large network, judged by fine-tuning. Here a network of two layers is judged by its loss "
        "at 15 % "
        "after one short training, in which more predictions a step count for much.",
        _masking,
    ),
    Claim(
        "Relative positions are better than absolute ones",
        "position_sweep",
        'Sources: Shaw, Uszkoreit and Vaswani, "Self-Attention with Relative Position Representations", NAACL '
        "2018; "
        'Huang, Liang, Xu and Xiang, "Improve Transformer Models with Better Relative Position Embeddings", '
        "Findings "
        "of EMNLP 2020.",
        "Vectors for the distance of two tokens, in place of vectors for places, raise the scores of "
        "translation, and "
        "of BERT in answering questions.",
        "Theirs are trained to the end. After 500 steps absolute tables are hardly used here, so that the "
        "difference "
        "is one of how soon order is learnt, and larger than it would remain.",
        _positions,
    ),
    Claim(
        "The rank of representations does not predict their quality across variants",
        "representation_scaling",
        'Source: Kulkarni, Springer, Subramonian and Swayamdipta, "Disentangling Geometry, Performance, and '
        "Training "
        'in Language Models", arXiv 2602.20433, 2026. For image encoders that are trained to join two views, the '
        'opposite is claimed: Garrido, Balestriero, Najman and LeCun, "RankMe: Assessing the Downstream '
        "Performance "
        'of Pretrained Self-Supervised Representations by Their Rank", ICML 2023.',
        "Over 108 language models that were trained under varied settings, no measure of geometry, the "
        "effective rank "
        "among them, tells the downstream performance reliably; it tells the settings of training.",
        "Their variants are of one architecture and differ in training. Here width, depth and steps differ, "
        "and the "
        "width bounds the rank. Theirs is first of all the rank of the output embeddings; here it is that of "
        "hidden "
        "states.",
        _rank,
    ),
)


def main() -> int:
    """Write the page and the index of this checkout. Returns the exit code."""
    folder = ROOT / "experiments"
    try:
        print(write_published_effects(folder))
        print(write_index(folder))
    except MinibertError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    from minibert.command_line.doors import enter

    enter("analysis.published_effects")
