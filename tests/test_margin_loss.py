"""Losses of margins against autograd and many digits, at any size of the margins."""

import mpmath
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skregimes.flows.margin_loss import LOSSES, MarginLoss
from skregimes.limits.margins import Margins

each_loss = pytest.mark.parametrize("loss", LOSSES)
each_count = pytest.mark.parametrize("n_classes", [2, 3, 4])


def example(loss, n_classes, size=1.0, n=6, seed=0):
    """Return a loss and scores of about a size, right and wrong ones."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % n_classes
    margins = Margins(codes, n_classes)
    share = rng.uniform(0.5, 2, n)
    rule = MarginLoss(margins, share / share.sum(), loss)
    return rule, size * rng.standard_normal((n, margins.n_outputs))


def torch_loss(rule, scores):
    """Return the weighted mean loss as a differentiable function of the scores."""
    if scores.shape[1] == 1:
        scores = torch.hstack([torch.zeros_like(scores), scores])
    codes = torch.tensor(rule.margins.codes)
    right = scores.gather(1, codes[:, None])
    if rule.loss == "logistic":
        each = torch.nn.functional.cross_entropy(scores, codes, reduction="none")
    else:
        each = torch.exp(scores - right).sum(dim=1) - 1
    return torch.tensor(rule.share) @ each


def exact_logs(rule, scores):
    """Return log loss, log of the sum of forces, and the shares, of many digits."""
    mpmath.mp.dps = 50
    total, pushes = mpmath.mpf(0), []
    for f, code, share in zip(scores, rule.margins.codes, rule.share, strict=True):
        f = [mpmath.mpf(v) for v in ([0, *f] if len(f) == 1 else f)]
        each = [mpmath.exp(v - f[code]) for k, v in enumerate(f) if k != code]
        bulk = mpmath.fsum(each)
        share = mpmath.mpf(share)
        if rule.loss == "logistic":
            total += share * mpmath.log1p(bulk)
            pushes += [share * e / (1 + bulk) for e in each]
        else:
            total += share * bulk
            pushes += [share * e for e in each]
    force = mpmath.fsum(pushes)
    shares = np.array([float(push / force) for push in pushes])
    return float(mpmath.log(total)), float(mpmath.log(force)), shares


@each_loss
@each_count
def test_value_forces_and_curvature_are_those_of_autograd(loss, n_classes):
    rule, scores = example(loss, n_classes)
    point = rule.at(scores)
    at = torch.tensor(scores, requires_grad=True)
    value = torch_loss(rule, at)
    (gradient,) = torch.autograd.grad(value, at)
    total = np.exp(point.log_force)
    assert np.exp(point.log_loss) == pytest.approx(value.item(), rel=1e-14)
    assert_allclose(total * point.force, -gradient.numpy(), atol=1e-15)
    assert_allclose(rule.margins.pull(point.shares), point.force, atol=1e-16)
    assert point.ratio == pytest.approx(value.item() / total, rel=1e-14)
    hessian = torch.autograd.functional.hessian(lambda f: torch_loss(rule, f), at)
    own = hessian.numpy()[np.arange(6), :, np.arange(6)]
    assert_allclose(total * rule.curvature(point), own, atol=1e-15)
    # What reads the sum of forces from them.
    assert np.sum(rule.right * point.force) == pytest.approx(1, rel=1e-14)


@each_loss
@each_count
@pytest.mark.parametrize("size", [1e-8, 30.0, 800.0, 1e5])
@pytest.mark.parametrize("sign", ["right", "wrong", "either"])
def test_logs_have_all_their_digits_at_any_margin(loss, n_classes, size, sign):
    rule, scores = example(loss, n_classes, size)
    if sign != "either":  # all margins of one sign
        best = rule.margins.codes if n_classes > 2 else np.zeros(6, dtype=int)
        scores[np.arange(6), best] = 10 * size
        if n_classes == 2:
            scores[:, 0] *= rule.margins.signs
        scores *= 1 if sign == "right" else -1
    with np.errstate(all="raise", under="ignore"):
        point = rule.at(scores)
        curvature = rule.curvature(point)
    log_loss, log_force, shares = exact_logs(rule, scores)
    # Rounding of the margins themselves, then of the logs.
    few = 1e-15 * np.abs(scores).max()
    assert point.log_loss == pytest.approx(log_loss, rel=1e-14, abs=1e-14 + few)
    assert point.log_force == pytest.approx(log_force, rel=1e-14, abs=1e-14 + few)
    assert_allclose(point.shares, shares, rtol=1e-12 + 4 * few, atol=1e-300)
    assert np.all(np.isfinite(curvature))
    assert np.linalg.eigvalsh(curvature).min() >= -1e-14


@each_loss
def test_two_classes_are_half_the_difference_of_two_scores(loss):
    rule, scores = example(loss, 2)
    point = rule.at(scores)
    log_loss, log_force, _ = exact_logs(rule, np.column_stack([-scores, scores]) / 2)
    assert point.log_loss == pytest.approx(log_loss)
    assert point.log_force == pytest.approx(log_force)


@each_loss
@each_count
def test_the_start_is_the_best_constant(loss, n_classes):
    rule, scores = example(loss, n_classes)
    n_outputs = rule.margins.n_outputs
    best = rule.start()
    force = rule.at(np.zeros_like(scores) + best).force
    assert_allclose(force.sum(axis=0), 0, atol=1e-15)
    value = lambda b: np.exp(rule.at(np.zeros_like(scores) + b).log_loss)
    found = minimize(value, np.zeros(n_outputs), method="BFGS", tol=1e-10)
    assert value(best) == pytest.approx(found.fun, rel=1e-9)
    if n_outputs > 1:
        assert best.sum() == pytest.approx(0, abs=1e-15)


@each_loss
@each_count
def test_weights_are_repetitions(loss, n_classes):
    rule, scores = example(loss, n_classes)
    times = np.array([1, 2, 1, 3, 1, 1])
    codes = rule.margins.codes
    weighted = MarginLoss(rule.margins, times / times.sum(), loss).at(scores)
    repeated = Margins(np.repeat(codes, times), n_classes)
    even = np.full(times.sum(), 1 / times.sum())
    point = MarginLoss(repeated, even, loss).at(np.repeat(scores, times, axis=0))
    assert weighted.log_loss == pytest.approx(point.log_loss, rel=1e-14)
    assert weighted.log_force == pytest.approx(point.log_force, rel=1e-14)
    first = np.cumsum(times) - 1
    assert_allclose(weighted.force, point.force[first] * times[:, None], rtol=1e-13)
