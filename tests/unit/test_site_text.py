"""What becomes of docstrings, formulas and the navigation on the site. Needs the extra `docs`."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("griffe", reason="the extra `docs` is not installed")
pytest.importorskip("latex2mathml", reason="the extra `docs` is not installed")

SITE = Path(__file__).resolve().parents[2] / "docs" / "site"


@pytest.fixture(scope="module")
def site():
    """Imports a module of docs/site, as MkDocs does: ``site("formulas")``."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SITE)
        yield import_module
        for name in set(sys.modules) - before:
            if str(SITE) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def test_signs_in_a_docstring_stay_signs(site):
    text = site("docstrings").inline("x_1 * x_2 < [a] | $b$ # `c`")
    for sign in "*_<[]|$#":
        assert sign not in text.replace("&#", "&")


def test_shapes_behind_an_equation_begin_a_line(site):
    assert site("docstrings").inline("y = x W.    -> (N, D)") == "y = x W.  \n-&#62; (N, D)"


def test_public_names_in_a_docstring_are_links_and_others_are_code(site):
    text = site("docstrings").inline("see :func:`minibert.load_run` and ``nothing_known``")
    assert 'identifier="minibert.serving.loading.load_run"' in text
    assert text.endswith("`nothing_known`")


def test_sections_examples_lists_and_formulas_keep_their_form(site):
    docstring = (
        "First.\n\nParameters\n----------\nrates : above\n    the last\n\n>>> f(1)  # doctest: +SKIP\n2\n\n"
        "* one\n  goes on\n* two\n\n    a = b"
    )
    assert site("docstrings").as_markdown(docstring) == (
        "First.\n\n**Parameters**\n\n* `rates`: above the last\n\n```pycon\n>>> f(1)\n2\n```\n\n"
        "* one goes on\n* two\n\n```text\na = b\n```"
    )


def formula(tex: str) -> str:
    return f'<div class="arithmatex">\\[{tex}\\]</div>'


def test_a_sum_in_brackets_has_its_bounds_below(site):
    shown = site("formulas").with_formulas(formula(r"\left( \sum_i x_i \right)"))
    assert "<munder><mo>∑</mo>" in shown


def test_a_function_stands_apart_and_a_prime_stays_large(site):
    shown = site("formulas").with_formulas(formula("p \\log p + f'(x)"))
    assert '<mo lspace="0.17em" rspace="0.17em">log</mo>' in shown
    assert '<mrow><mi>f</mi><mo lspace="0" rspace="0">′</mo></mrow>' in shown


@pytest.mark.parametrize(
    ("tex", "said"),
    [
        (r"\unheardof{x}", r"\unheardof is not known"),
        (r"\mathopp{x}", r"\mathopp is not known"),
        (r"\mathbfx{x}", r"\mathbfx is not known"),
        (r"\href{https://example.org}{x}", r"\href is not known"),
        (r"\newcommand{\a}{b} \a", r"\newcommand is not known"),
        (r"\color{red} x", r"\color is not known"),
        (r"\left( x", r"\left has no end"),
        (r"\left( {x \right)}", r"\right ends what has not begun"),
        (r"x \right)", r"\right ends what has not begun"),
        ("{a", "{ has no end"),
        (r"\frac{a}{b", "{ has no end"),
        ("a}", "} ends what has not begun"),
        (r"\text{a", "{ has no end"),
        (r"\begin{nope} a \end{nope}", r"\begin{nope} is not known"),
        (r"\begin{aligned*} a \end{aligned*}", r"\begin{aligned*} is not known"),
        (r"\begin{matrix} a", r"\begin{matrix} has no end"),
        (r"\begin{matrix} a \end{cases}", r"\end{cases} ends what has not begun"),
        (r"\frac{a}", r"\frac lacks an argument"),
        (r"{\frac{a}} b", r"\frac lacks an argument"),
        (r"\begin{matrix} \frac{a} & b \end{matrix}", r"\frac lacks an argument"),
        (r"\sqrt", r"\sqrt lacks an argument"),
        (r"(\sqrt[3 x)", "[ has no end"),
        (r"{\hat} x", r"\hat lacks an argument"),
        ("x_", "_ lacks an argument"),
        ("{x^} y", "^ lacks an argument"),
        ("a & b", "& stands outside of a matrix"),
        ("a % b", "% is no sign of a formula"),
    ],
)
def test_a_formula_that_cannot_be_set_is_an_error(site, tex, said):
    formulas = site("formulas")
    with pytest.raises(formulas.BadFormula) as raised:
        formulas.with_formulas(formula(tex.replace("&", "&amp;")))
    assert str(raised.value).startswith(f"{tex}: ") and said in str(raised.value)


@pytest.mark.parametrize(
    "tex",
    [
        r"\left\lbrace {}_i x^{-\frac12}_\mathrm{a} \right. \% \{ \text{of all, } \hat\theta \}",
        r"\begin{cases} \sqrt[3]{x} & x \ge 0 \\ \operatorname{erf} x & \text{else} \end{cases}",
        r"\max_{i \in S} \big( \log p_i' \big) \qquad \sum_{i=1}^n \lVert x \rVert^2 \, \ldots",
    ],
)
def test_a_formula_that_is_right_is_set(site, tex):
    assert "</math>" in site("formulas").with_formulas(formula(tex.replace("&", "&amp;")))


def test_a_folder_in_the_navigation_is_its_pages_in_the_order_of_its_readme(site, tmp_path):
    (tmp_path / "week").mkdir()
    (tmp_path / "week" / "README.md").write_text("[2](two.md) then [1](one.md#start)")
    pages = ["week/README.md", "week/new.md", "week/one.md", "week/two.md"]
    found = site("navigation").expanded([{"Weeks": "week/"}, "other.md"], tmp_path, ["week/made.md"], pages)
    inside = ["week/README.md", "week/two.md", "week/one.md", "week/new.md", "week/made.md"]
    assert found == [{"Weeks": inside}, "other.md"]


def test_headings_with_pages_below_are_sections(site, tmp_path):
    (tmp_path / "README.md").write_text("## A\n[a](a.md) [b](b.md)\n## B\n[c](c.md) [d](d.md)")
    found = site("navigation")._folder("", tmp_path, ["a.md", "b.md", "c.md", "d.md"])
    assert found == ["README.md", {"A": ["a.md", "b.md"]}, {"B": ["c.md", "d.md"]}]


@pytest.mark.parametrize("nav", [["gone/"], [{"A": [{"B": "gone/"}]}], ["empty/"]])
def test_a_folder_in_the_navigation_without_pages_is_an_error(site, tmp_path, nav):
    (tmp_path / "empty").mkdir()
    navigation = site("navigation")
    with pytest.raises(navigation.NoPages, match=r"^(gone/ is not there|empty/ has no pages)\.$"):
        navigation.expanded(nav, tmp_path, [], ["other.md"])


@pytest.mark.parametrize(
    "link",
    [
        '<a href="nope2.md">', '<img src="nope3.png">', '<a href="../two.md">', '<source src="../three">',
        '<a href="../../two/">', '<a href="/two/">', '<a href="../gone/#x">',
    ],
)  # fmt: skip
def test_a_link_of_html_that_leads_nowhere_is_told(site, link):
    known = {"", "index.html", "one/", "two/", "two/a b.png"}
    right = (
        '<a href="#x"></a><a href="../two/?a#b"></a><a href=".."></a><a href="./"></a><img src="../two/a%20b.png">'
        '<a href="https://example.org/x.md"></a><a href="mailto:a@example.org"></a><a name="x"></a>'
        '<code>&lt;a href="nope.md"&gt;</code>'
    )
    assert site("links").dead_links(f"{right}{link}</a>", "one/", known) == [link]
