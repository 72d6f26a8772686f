"""Losses of classifiers against autograd, convex solvers and published figures."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skregimes.losses import LOG_ODDS, SOFT_LOSSES, MarginLoss, SoftLoss, soft_step

NAMES = ["logistic", "exponential"]


def sample(n_classes, n=12, size=1.0, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n)])
    n_outputs = 1 if n_classes == 2 else n_classes
    scores = size * rng.standard_normal((len(codes), n_outputs))
    weight = rng.uniform(0.5, 2, len(codes))
    return torch.tensor(scores), torch.tensor(codes), torch.tensor(weight)


def plain(name, scores, codes, weight):
    """The loss itself, as the definition has it."""
    if scores.shape[1] == 1:
        margins = (scores[:, 0] * (2 * codes - 1))[:, None]
    else:
        rows = torch.arange(len(codes))
        margins = scores[rows, codes][:, None] - scores
        keep = torch.ones_like(margins, dtype=bool)
        keep[rows, codes] = False
        margins = margins[keep].view(len(codes), -1)
    each = torch.exp(-margins).sum(dim=1)
    each = torch.log1p(each) if name == "logistic" else each
    return (weight * each).sum() / weight.sum()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("size", [0.1, 3.0, 40.0])
def test_log_loss_gradient_and_hessian_are_those_of_the_definition(
    name, n_classes, size
):
    scores, codes, weight = sample(n_classes, size=size)
    point = MarginLoss(name, codes, weight, n_classes).at(scores)
    log_plain = lambda f: plain(name, f, codes, weight).log()
    assert_allclose(point.log_loss, log_plain(scores), rtol=1e-12, atol=1e-12)
    gradient = torch.func.grad(log_plain)(scores)
    assert_allclose(point.gradient, gradient, rtol=1e-9, atol=1e-14)
    direction = torch.tensor(np.random.default_rng(1).standard_normal(scores.shape))
    product = torch.func.jvp(torch.func.grad(log_plain), (scores,), (direction,))[1]
    assert_allclose(point.hessian_product(direction), product, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_curvature_is_the_largest_sum_of_second_derivatives(name, n_classes):
    scores, codes, weight = sample(n_classes)
    found = MarginLoss(name, codes, weight, n_classes).at(scores).curvature()
    value = plain(name, scores, codes, weight)
    hessian = torch.func.hessian(lambda f: plain(name, f, codes, weight))(scores)
    diagonal = torch.einsum("ikik->ik", hessian) / value
    assert found == pytest.approx(float(diagonal.sum(dim=0).max()), rel=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_losses_beyond_floats_have_gradients(name, n_classes):
    scores, codes, weight = sample(n_classes)
    loss = MarginLoss(name, codes, weight, n_classes)
    # A common factor leaves the sample of the least margin to carry all.
    margins = torch.where(
        torch.isinf(loss.at(scores).lead), math.inf, -loss.at(scores).lead
    )
    least = float(margins.min())
    for size in (1e5, 1e12, 1e300):
        point = loss.at(size * scores)
        if least < 0 and name == "logistic":  # a mistake costs its margin
            assert float(point.log_loss) < math.log(size) + 5
        else:
            assert_allclose(point.log_loss, -size * least, rtol=1e-4)
        assert torch.isfinite(point.gradient).all()
        assert float(point.gradient.abs().max()) > 0
    right = torch.nn.functional.one_hot(codes).double()
    far = 2e5 * (right if n_classes > 2 else right[:, 1:] - 0.5)
    point = loss.at(far)
    least = 2e5 if n_classes > 2 else 1e5
    assert_allclose(point.log_loss, math.log(n_classes - 1) - least, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("size", [0.0, 1.0, 5.0])
def test_intercept_minimises_the_loss(name, n_classes, size):
    scores, codes, weight = sample(n_classes, n=40, size=size)
    loss = MarginLoss(name, codes, weight, n_classes)
    found = loss.intercept(scores)
    value = lambda b: float(loss.at(scores + torch.tensor(b)).log_loss)
    best = minimize(value, np.zeros(scores.shape[1]), method="BFGS")
    assert value(found.numpy()) <= best.fun + 1e-12
    force = loss.at(scores + found).gradient.sum(dim=0)
    assert_allclose(force, 0, atol=1e-12)
    if n_classes > 2:
        assert float(found.sum()) == pytest.approx(0, abs=1e-9)
    again = loss.intercept(scores, found + 3.0)
    assert_allclose(again - again.mean(), found - found.mean(), atol=1e-9)


@pytest.mark.parametrize("size", [1.0, 1e4, 1e8])
def test_intercept_of_the_exponential_loss_in_closed_form(size):
    scores, codes, weight = sample(2, size=size)
    found = MarginLoss("exponential", codes, weight, 2).intercept(scores)
    pull = lambda sign, rows: torch.logsumexp(
        sign * scores[rows, 0] + weight[rows].log(), dim=0
    )
    expected = (pull(-1, codes == 1) - pull(1, codes == 0)) / 2
    assert_allclose(float(found), float(expected), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
def test_intercept_of_separable_scores_balances_forces(name, n_classes, size):
    scores, codes, weight = sample(n_classes, n=30, seed=3)
    right = torch.nn.functional.one_hot(codes).double()
    lift = 2 * right if n_classes > 2 else 4 * right[:, 1:] - 2
    scores = size * (0.3 * scores + lift + 10 * torch.arange(scores.shape[1]))
    loss = MarginLoss(name, codes, weight, n_classes)
    point = loss.at(scores + loss.intercept(scores))
    assert_allclose(point.gradient.sum(dim=0), 0, atol=1e-14 * size + 1e-9)
    assert float(point.log_loss) < -0.5 * size


def test_class_frequencies_are_the_intercept_of_no_scores():
    weight = torch.tensor([1.0, 1.0, 2.0, 4.0], dtype=torch.float64)
    codes = torch.tensor([0, 1, 2, 2])
    none = torch.zeros(4, 3, dtype=torch.float64)
    found = MarginLoss("logistic", codes, weight, 3).intercept(none)
    assert_allclose(found - found[0], np.log([1, 1, 6]), atol=1e-12)
    two = MarginLoss("exponential", (codes == 2).long(), weight, 2)
    assert_allclose(two.intercept(none[:, :1]), [math.log(3) / 2], rtol=1e-12)


# -- the soft confusion matrix ---------------------------------------------------------


@pytest.mark.parametrize("tau", [0.2, 0.5, 0.8])
def test_soft_step_takes_its_published_values(tau):
    half = min(tau, 1 - tau) / 2
    p = torch.tensor([0, tau - half, tau, tau + half, 1], dtype=torch.float64)
    assert_allclose(soft_step(p, torch.tensor(tau)), [0, 0.1, 0.5, 0.9, 1], atol=1e-6)


def written_out(name, p, y, weight):
    """The score of one class, threshold by threshold, sample by sample."""
    scores = []
    for k in range(1, 10):
        tau = k / 10
        tm = min(tau, 1 - tau)
        m1, m2, m3 = 0.1 / (tau - tm / 2), 0.8 / tm, 0.1 / (1 - tau - tm / 2)
        TP = FP = FN = TN = 0.0
        for p_i, y_i, w_i in zip(p, y, weight, strict=True):
            if p_i < tau - tm / 2:
                H = m1 * p_i
            elif p_i > tau + tm / 2:
                H = m3 * p_i + (1 - 0.1 - m3 * (tau + tm / 2))
            else:
                H = m2 * p_i + 0.5 - m2 * tau
            TP, FP = TP + w_i * H * y_i, FP + w_i * H * (1 - y_i)
            FN, TN = FN + w_i * (1 - H) * y_i, TN + w_i * (1 - H) * (1 - y_i)
        assert sum(weight) == pytest.approx(TP + FP + FN + TN)
        scores.append(
            {
                "soft_f1": 2 * TP / (2 * TP + FP + FN),
                "soft_accuracy": (TP + TN) / sum(weight),
                "soft_balanced_accuracy": (TP / (TP + FN) + TN / (TN + FP)) / 2,
            }[name]
        )
    return np.mean(scores)


@pytest.mark.parametrize("name", SOFT_LOSSES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_soft_losses_are_their_formulas(name, n_classes):
    scores, codes, weight = sample(n_classes, n=15, size=2.0)
    value, gradient = SoftLoss(name, codes, weight, n_classes)(scores)
    if n_classes == 2:
        p = torch.sigmoid(scores[:, 0]).numpy()
        expected = written_out(name, p, codes.numpy(), weight.numpy())
    else:
        p = torch.softmax(scores, dim=1).numpy()
        expected = np.mean(
            [
                written_out(name, p[:, k], (codes == k).numpy(), weight.numpy())
                for k in range(n_classes)
            ]
        )
    assert float(value) == pytest.approx(1 - expected, rel=1e-12)
    change = torch.tensor(np.random.default_rng(2).standard_normal(scores.shape))
    step = 1e-6
    loss = SoftLoss(name, codes, weight, n_classes)
    slope = (loss(scores + step * change)[0] - loss(scores - step * change)[0]) / (
        2 * step
    )
    assert float((gradient * change).sum()) == pytest.approx(float(slope), rel=1e-6)


def test_sure_and_right_scores_have_no_soft_loss():
    codes = torch.tensor([0, 1, 1])
    for name in SOFT_LOSSES:
        loss = SoftLoss(name, codes, torch.ones(3), 2)
        value, gradient = loss(torch.tensor([[-800.0], [800.0], [800.0]]))
        assert float(value) == 0
        assert not gradient.any()
        assert LOG_ODDS[name] == 1


def test_losses_have_names():
    with pytest.raises(ValueError, match="must be one of"):
        MarginLoss("hinge", torch.tensor([0, 1]), torch.ones(2), 2)
    with pytest.raises(ValueError, match="must be one of"):
        SoftLoss("logistic", torch.tensor([0, 1]), torch.ones(2), 2)
