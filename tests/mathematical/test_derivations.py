"""The pages of docs/mathematics: their formulas are those of the code, and a wrong formula does not pass."""

import re

import pytest

from tests.support.derivations import PAGES, ROOT, examples, filled

INDEX = ROOT / "docs" / "mathematics" / "README.md"
SECTIONS = (
    "What it computes", "Derivation", "The code", "Shapes and cost", "Rounding and range", "The classic mistake",
    "Check", "Sources",
)  # fmt: skip
MISTAKES = {
    "activations": ("Phi + x * phi", "Phi + phi"),
    "adafactor": ("* A.sum(axis=0) / A.sum()\n    u =", "* A.sum(axis=0) / A.mean()\n    u ="),
    "adam": ("v / (1 - beta2**t)", "v"),
    "added_positions": ("dP[:T] = dy.sum(axis=0)", "dP[:T] = dy[-1]"),
    "attention": ("ds = w * (dw - (dc * c).sum(axis=3, keepdims=True))", "ds = w * dw"),
    "clipping": ("g * min(1, c / np.linalg.norm(g))", "np.clip(g, -c, c)"),
    "dropout": ("dx = m * dy", "dx = (m > 0) * dy"),
    "effective_rank": ("p = sigma / sigma.sum()", "p = sigma**2 / (sigma**2).sum()"),
    "embedding": ("dE = O.T @ dx", "dE = np.zeros_like(E)\ndE[z.reshape(-1)] += dx"),
    "feed_forward": ("dg = da * h * slope(g)", "dg = da * slope(g)"),
    "gated_attention": ("du = dg * g * (1 - g)", "du = dg * g"),
    "lamb": ("r = r + decay * theta[name]", "pass"),
    "layer_norm": ("- x_hat * means[1]", ""),
    "linear": ("dW = x.T @ dy", "dW = x.T @ np.ones_like(dy)"),
    "lion": ("m = beta2 * m + (1 - beta2) * g", "m = beta1 * m + (1 - beta1) * g"),
    "lookahead": ("theta = phi\n", "pass\n"),
    "masking": ("pi * (r / V + k * (np.arange(V) == s))", "pi * (r / V + (np.arange(V) == s))"),
    "muon": ("n = (1 - momentum) * g + momentum * m", "n = m"),
    "position_biases": ("dt[index[i, j], h] += ds[b, h, i, j]", "dt[index[i, j], h] = ds[b, h, i, j]"),
    "pseudo_log_likelihood": ("seen[hidden] = MASK", "seen[t] = MASK"),
    "relative_positions": ("max(-d, min(j - i, d)) + d", "max(-d, min(i - j, d)) + d"),
    "residual_stream": ("dx = (I + J_A).T @ (I + J_F).T @", "dx = (I + J_A).T @ J_F.T @"),
    "rms_norm": ("(dx_hat - x_hat * np.mean(dx_hat * x_hat, axis=1, keepdims=True))", "dx_hat"),
    "rotary_positions": ("turned(dq_turned, positions, sign=-1)", "turned(dq_turned, positions)"),
    "sampled_softmax": ("raised = s[:, words.ids] - np.log(pi[words.ids])", "raised = s[:, words.ids]"),
    "short_rows": ("max(0, 1 - d / m), atol", "max(0, 1 - d / t), atol"),
    "softmax_and_cross_entropy": ("w * (dw - (dw * w).sum(axis=1, keepdims=True))", "w * dw"),
    "tied_head": (' + two["mlm_head.weight"].T', ""),
    "weight_averages": ("factors @ theta[:t] / factors.sum()", "(1 - beta) * factors @ theta[:t]"),
}
"""Page -> a piece of its formulas, and a mistake in its place"""


def text(name: str) -> str:
    return PAGES[name].read_text(encoding="utf-8")


def run(name: str, blocks: list[str]) -> None:
    """Each block by itself, with names of its own."""
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{name}.md, block {number}", "exec"), {"__name__": name})


@pytest.mark.parametrize("name", PAGES)
def test_the_formulas_of_a_page_are_those_of_the_code(name):
    blocks = examples(text(name))
    assert any("np.testing.assert_allclose" in block for block in blocks)
    run(name, blocks)


@pytest.mark.parametrize("name", PAGES)
def test_a_mistake_in_the_formulas_of_a_page_is_caught(name):
    right, wrong = MISTAKES[name]
    blocks = examples(text(name))
    assert sum(block.count(right) for block in blocks) == 1, f"not once on the page: {right}"
    with pytest.raises(AssertionError):
        run(name, [block.replace(right, wrong) for block in blocks])


@pytest.mark.parametrize("name", PAGES)
def test_the_code_on_a_page_is_that_of_the_source(name):
    page = text(name)
    assert "<!-- code: " in page
    assert filled(page) == page, "run: python -m tests.support.derivations"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_all_its_sections(name):
    assert tuple(re.findall(r"^## (.+)$", text(name), re.MULTILINE)) == SECTIONS


def test_the_index_leads_to_every_page():
    linked = re.findall(r"\((\w+)\.md\)", INDEX.read_text(encoding="utf-8"))
    assert sorted(linked) == sorted(PAGES)


def test_shown_code_is_without_docstrings_and_follows_the_source():
    page = '<!-- code: minibert/model/ops.py linear column_sums "return" "return" -->\n```python\nold\n```\n'
    shown = filled(page)
    assert "old" not in shown and '"""' not in shown
    assert (
        "y = np.matmul(x, weight" in shown
        and "def column_sums(x):\n    ...\n    return np.ones(len(x), x.dtype) @ x\n" in shown
    )
    assert filled(shown) == shown
    with pytest.raises(LookupError, match=r"ops\.py has no quadratic"):
        filled(page.replace("linear", "quadratic"))
