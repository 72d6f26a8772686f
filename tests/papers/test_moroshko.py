"""Moroshko et al., "Implicit Bias in Deep Linear Classification" (2020).

Initialisation scale against training accuracy: which margin the flow of the exponential
loss maximises depends on the scale and on the level of the loss together. The reference
values come from an independent implementation of the flow, run on the same data: 20
samples of 50 Gaussian features, labelled by the sign of the sum of three.
"""

import numpy as np
import pytest

from skregimes import DiagonalNetClassifier
from skregimes.limits import max_margin

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 50))
Y = np.sign(X[:, :3].sum(axis=1))
L1, L2 = (max_margin(X, Y, norm=norm) for norm in ("l1", "l2"))

FALLS = np.array([10.0, 23.0, 100.0, 230.0, 1e3, 1e4, 1e6])
# (depth, alpha): excess of the l1 and the l2 norm per margin at losses exp(-fall).
TABLE = {
    (2, 1e-6): [
        (0.487, 2.05), (0.384, 1.78), (0.186, 1.23), (0.128, 1.07), (0.116, 1.03),
        (0.016, 0.77), (0.011, 0.76),
    ],
    (2, 1e-3): [
        (0.300, 1.46), (0.153, 1.08), (0.080, 0.89), (0.024, 0.75), (0.015, 0.73),
        (0.009, 0.72), (0.008, 0.70),
    ],
    (2, 1e-2): [
        (0.202, 1.09), (0.109, 0.86), (0.028, 0.68), (0.017, 0.66), (0.008, 0.64),
        (0.005, 0.63), (0.001, 0.61),
    ],
    (2, 0.1): [
        (0.152, 0.53), (0.071, 0.44), (0.026, 0.41), (0.017, 0.41), (0.009, 0.42),
        (0.005, 0.43), (0.002, 0.45),
    ],
    (2, 3.0): [
        (0.373, 0.063), (0.332, 0.025), (0.290, 0.007), (0.242, 0.013), (0.150, 0.068),
        (0.059, 0.182), (0.012, 0.288),
    ],
    (2, 10.0): [
        (0.374, 0.063), (0.334, 0.025), (0.317, 0.006), (0.313, 0.002), (0.291, 0.002),
        (0.156, 0.060), (0.025, 0.250),
    ],
    (2, 100.0): [
        (0.374, 0.063), (0.334, 0.025), (0.318, 0.006), (0.315, 0.002), (0.313, 0.001),
        (0.313, 0.000), (0.156, 0.060),
    ],
    (3, 1.0): [
        (0.327, 0.076), (0.225, 0.067), (0.106, 0.188), (0.061, 0.273), (0.024, 0.396),
        (0.009, 0.561), (0.013, 0.757),
    ],
    (3, 0.1): [
        (0.712, 2.61), (0.436, 1.93), (0.418, 1.88), (0.413, 1.87), (0.408, 1.87),
        (0.412, 1.89), (0.412, 1.89),
    ],
    (3, 0.01): [
        (22.8, 58.0), (8.2, 21.0), (1.39, 4.4), (1.05, 3.7), (1.046, 3.68),
        (1.045, 3.68), (1.045, 3.68),
    ],
}  # fmt: skip
FAST = [(2, 1e-3), (2, 0.1), (2, 10.0), (3, 1.0)]
SLOW = [pytest.param(key, marks=pytest.mark.slow) for key in TABLE if key not in FAST]


def fit(alpha, depth=2, fall=1e6):
    return DiagonalNetClassifier(
        alpha,
        depth=depth,
        units="paper",
        loss="exponential",
        fit_intercept=False,
        early_stopping=False,
        log_loss_tol=-fall,
    ).fit(X, Y)


def excess(coef):
    """Excess of the two norms per margin of coefficients, one row a fit."""
    margin = np.min(Y * (coef @ X.T), axis=-1)
    l1, l2 = (np.linalg.norm(coef, order, axis=-1) / margin for order in (1, 2))
    return np.array([l1 / L1.value - 1, l2 / L2.value - 1])


def excess_at(model, falls):
    coef, _, _ = model.trajectory_.at_log_loss(-np.asarray(falls))
    return excess(coef[:, 0])


def test_the_data_are_those_of_the_table():
    assert L1.value == pytest.approx(2.938090, rel=1e-6)
    assert L2.value == pytest.approx(0.683834, abs=1e-6)
    assert excess(L2.coef)[0] == pytest.approx(0.3128, abs=1e-4)
    assert excess(L1.coef)[1] == pytest.approx(0.6171, abs=1e-4)


@pytest.mark.parametrize("key", FAST + SLOW, ids=str)
def test_excess_norms_against_the_loss(key):
    depth, alpha = key
    found = excess_at(fit(alpha, depth), FALLS).T
    np.testing.assert_allclose(found, TABLE[key], rtol=0.03, atol=2e-3)


def test_alpha_one_needs_a_loss_below_any_float():
    # Within 5 % of the l1 margin: at the loss 1e-776, but not yet at 1e-650.
    for exponent, near in ((650, False), (776, True)):
        model = fit(1.0, fall=exponent * np.log(10))
        assert model.loss_ == 0.0
        assert (model.excess_l1_margin_ < 0.05) == near


def test_large_scales_need_ever_smaller_losses():
    """The phase diagram: the level at which l2 gives way to l1 grows with the scale."""
    falls = np.geomspace(10, 1e6, 500)
    first = [
        falls[np.argmax(excess_at(fit(alpha), falls)[0] < 0.15)]
        for alpha in (0.1, 1.0, 10.0)
    ]
    # At a fixed direction the margin is alpha**2 times a number: a factor of 100.
    assert 30 < first[2] / first[1] < 300
    assert first[0] < first[1] < first[2]


def test_smaller_is_not_richer():
    """At depth 2 a tiny scale delays l1; at depth 3 it never gets there."""
    at = lambda alpha, depth: excess_at(fit(alpha, depth), [1e3, 1e6])[0]
    tiny, small = at(1e-6, 2), at(0.01, 2)
    assert tiny[0] > 5 * small[0]
    greedy = at(0.1, 3)
    assert greedy[1] > 0.3
    assert abs(greedy[1] - greedy[0]) < 0.02


def test_near_the_kernel_end_the_static_problem_is_the_limit():
    """Theorem of the paper, alpha -> inf: argmin Q_mu, mu = alpha**2 / margin.

    It holds while the multipliers of the static problem grow with 1 / mu, as they do
    near the kernel end; the sweeping process is the limit everywhere.
    """
    model = fit(100.0, fall=1e5)
    mu = 100.0**2 / model.margin_
    coef = model.coef_[0] / model.margin_
    static = max_margin(X, Y, norm=("q", mu)).coef
    assert np.linalg.norm(static - coef) < 1e-3 * np.linalg.norm(coef)
