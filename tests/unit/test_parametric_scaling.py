"""The parametric law of loss, size and tokens: against planted laws, and what is refused."""

import numpy as np
import pytest

from analysis.statistics import fit_parametric

SIZES, TOKENS = (each.ravel() for each in np.meshgrid([1e7, 1e8, 1e9, 1e10], [1e9, 1e10, 1e11]))
PUBLISHED = {"e": 1.69, "a": 406.4, "b": 410.7, "alpha": 0.34, "beta": 0.28}
"""Of Hoffmann et al. (2022), equation 10"""


def losses(sizes=SIZES, tokens=TOKENS):
    return 1.69 + 406.4 / sizes**0.34 + 410.7 / tokens**0.28


def test_the_published_law_is_found_in_its_own_losses():
    law = fit_parametric(SIZES, TOKENS, losses(), draws=5)
    assert law is not None
    assert {name: getattr(law, name).value for name in PUBLISHED} == pytest.approx(PUBLISHED, rel=1e-4)
    assert law.at(SIZES, TOKENS) == pytest.approx(losses(), rel=1e-6)
    assert law.size_exponent == pytest.approx(0.28 / 0.62, rel=1e-4)


def test_noise_and_an_outlier_leave_the_law_within_its_intervals():
    generator = np.random.default_rng(0)
    sizes, tokens = np.repeat(SIZES, 3), np.repeat(TOKENS, 3)
    noisy = losses(sizes, tokens) * np.exp(generator.normal(0, 0.003, sizes.size))
    noisy[5] *= 1.2
    law = fit_parametric(sizes, tokens, noisy, draws=60)
    assert law is not None
    for name, true in PUBLISHED.items():
        assert getattr(law, name).low <= true <= getattr(law, name).high
    assert law.alpha.high - law.alpha.low < 0.1
    assert law == fit_parametric(sizes, tokens, noisy, draws=60)


@pytest.mark.parametrize(
    ("sizes", "tokens"),
    [(SIZES[:5], TOKENS[:5]), (np.full(12, 1e7), np.geomspace(1e9, 1e10, 12)), (SIZES, SIZES * 0 + 1)],
)
def test_too_few_settings_tell_no_law(sizes, tokens):
    assert fit_parametric(sizes, tokens, np.full(len(sizes), 3.0)) is None


@pytest.mark.parametrize("wrong", [losses()[:-1], np.append(losses()[:-1], np.nan), -losses()])
def test_losses_that_no_law_has_are_refused(wrong):
    with pytest.raises(ValueError, match="one positive number of each"):
        fit_parametric(SIZES, TOKENS, wrong)
