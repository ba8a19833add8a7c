"""The page docs/gallery.md with its figures, made from the list of mistakes.

``python -m tests.support.gallery`` writes the page anew, and the figures that are missing; with the word
``figures`` all of them. A test holds the page to the list.
"""

import io
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from minibert.mistakes.catalogue import MISTAKES, derivation
from minibert.mistakes.figures import caption, draw
from minibert.mistakes.injection import difference
from minibert.mistakes.mistake import Mistake, Sighting
from minibert.mistakes.trial import Trial, try_out

ROOT = Path(__file__).parents[2]
PAGE, FIGURES = ROOT / "docs" / "gallery.md", ROOT / "docs" / "gallery"
TOLD = [mistake for mistake in MISTAKES.values() if mistake.told]
DOTS_PER_INCH = 80
TEMPLATE = Path(__file__).with_name("gallery.md")
"""What the page says around the mistakes"""
REST = """
## All others

| the mistake | why it looks right | caught by |
| --- | --- | --- |
"""


def page() -> str:
    """The whole page. Every mistake that it tells is made and checked."""
    head = TEMPLATE.read_text(encoding="utf-8").replace("COUNT", str(len(MISTAKES)))
    return head + "".join(map(_classic, TOLD)) + REST + "".join(_others())


def figure(trial: Trial, mistake: Mistake) -> bytes:
    png = io.BytesIO()
    draw(mistake, trial).figure.savefig(png, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    return png.getvalue()


def _classic(mistake: Mistake) -> str:
    derived = derivation(mistake)
    page = derived and Path(derived).stem.replace("_", " ")
    lines = [
        "",
        f"### {mistake.name}",
        "",
        _filled(f"**{_sentence(mistake.said)}** {mistake.why}"),
        "",
        f"In [`{mistake.where.partition(':')[2]}`](../{source(mistake)}):",
        "",
        "```diff",
        difference(mistake.where, mistake.changes),
        "```",
        "",
        f"![{caption(mistake, try_out(mistake))}](gallery/{mistake.name}.png)",
        "",
        f"* Caught by {_test(mistake)}.",
        *([f"* Derivation: [{page}]({derived.removeprefix('docs/')})."] if derived else []),
        *(["* Seen:"] if mistake.seen else ["* Seen: not found in public reports."]),
        *(_filled(f"  * {_sighting(each)}.", "    ") for each in mistake.seen),
    ]
    return "\n".join(lines) + "\n"


def _others() -> Iterator[str]:
    for mistake in MISTAKES.values():
        if not mistake.told:
            also = f" Seen: {'; '.join(map(_sighting, mistake.seen))}." if mistake.seen else ""
            yield f"| `{mistake.name}`: {mistake.said} | {mistake.why}{also} | {_test(mistake)} |\n"


def source(mistake: Mistake) -> str:
    return f"minibert/{mistake.where.partition(':')[0].replace('.', '/')}.py"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _test(mistake: Mistake) -> str:
    return f"[`{mistake.test_name}`](../tests/{mistake.test_file})"


def _sighting(seen: Sighting) -> str:
    return f"[{seen.project}]({seen.address}), {seen.year}: {seen.what}"


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 125, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    FIGURES.mkdir(exist_ok=True)
    for mistake in TOLD:
        path = FIGURES / f"{mistake.name}.png"
        if "figures" in sys.argv or not path.exists():
            path.write_bytes(figure(try_out(mistake), mistake))
            print(f"{path.relative_to(ROOT)}: drawn")
    for path in FIGURES.glob("*.png"):
        if path.stem not in MISTAKES or not MISTAKES[path.stem].told:
            path.unlink()
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
