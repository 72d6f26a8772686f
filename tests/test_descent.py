"""Gradient descent against loops written here, and against gradient flow."""

import math

import numpy as np
import pytest
import torch

from skregimes._border import to_tensor
from skregimes.flows.chebyshev import chebyshev
from skregimes.flows.descent import descent


class TwoLayers:
    """A linear network ``x . (a * b)`` of two layers, by hand."""

    n_samples, n_features = 11, 4

    def __init__(self, dtype=torch.float64):
        rng = np.random.default_rng(0)
        shape = (self.n_samples, self.n_features)
        self.X = to_tensor(rng.standard_normal(shape), dtype=dtype)
        self.y = self.X @ torch.tensor([1.0, -0.5, 0.0, 0.2], dtype=dtype)
        self.y += 0.1 * to_tensor(rng.standard_normal(self.n_samples), dtype=dtype)
        self.rows = []

    def start(self, scale=0.5):
        # Layers of different size, for the products to change sign.
        sizes = torch.tensor([1.0, 0.5], dtype=self.X.dtype)
        return scale * sizes.repeat_interleave(self.n_features)

    def gradient(self, theta):
        gradient, r = self._gradient(theta, self.X, self.y)
        return gradient, (r @ r) / (2 * len(r))

    def batch_gradient(self, theta, rows):
        self.rows.append(rows)
        return self._gradient(theta, self.X[rows], self.y[rows])[0]

    def _gradient(self, theta, X, y):
        a, b = theta.view(2, -1)
        r = X @ (a * b) - y
        g = X.T @ (r / len(r))
        return torch.cat([b * g, a * g]), r

    @property
    def floor(self):
        w = torch.linalg.lstsq(self.X, self.y[:, None]).solution[:, 0]
        r = self.X @ w - self.y
        return float(r @ r) / (2 * len(r))


class Quadratic:
    def __init__(self, *rates):
        self.rates = to_tensor(np.array(rates))

    def gradient(self, theta):
        gradient = self.rates * theta
        return gradient, gradient @ theta / 2


def ones(n):
    return torch.ones(n, dtype=torch.float64)


# -- the algorithm ---------------------------------------------------------------------


def test_steps_are_those_of_a_hand_written_loop_to_the_last_bit():
    problem = TwoLayers()
    told = []
    result = descent(
        problem,
        problem.start(),
        learning_rate=0.07,
        max_iter=40,
        on_node=lambda *point: told.append(point),
    )
    theta = problem.start()
    for k in range(41):
        gradient, loss = problem.gradient(theta)
        assert told[k][0] == k * 0.07
        assert torch.equal(told[k][1], theta)
        assert told[k][2] == float(loss)
        theta = theta - 0.07 * gradient
    assert torch.equal(result.theta, told[-1][1])
    assert (result.status, result.n_iter, result.n_gradients) == ("max_iter", 40, 41)


@pytest.mark.parametrize("batch_size", [1, 4, 11])
def test_mini_batches_are_those_of_a_hand_written_loop(batch_size):
    problem = TwoLayers()
    options = {"learning_rate": 0.05, "batch_size": batch_size, "max_iter": 30}
    result = descent(problem, problem.start(), random_state=3, **options)
    generator, theta, n_iter = np.random.RandomState(3), problem.start(), 0
    while n_iter < 30:
        order = generator.permutation(11)
        for first in range(0, 11, batch_size):
            if n_iter < 30:
                rows = torch.from_numpy(order[first : first + batch_size])
                theta = theta - 0.05 * problem.batch_gradient(theta, rows)
                n_iter += 1
    assert torch.equal(result.theta, theta)
    assert (result.n_iter, result.time) == (30, 30 * 0.05)
    assert result.loss == problem.gradient(theta)[1]


def test_an_epoch_covers_every_row_once_and_shuffles_are_reproducible():
    problem = TwoLayers()
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    run = lambda seed: descent(
        problem,
        problem.start(),
        learning_rate=0.01,
        batch_size=4,
        random_state=seed,
        max_iter=6,
    )
    first = run(0)
    assert [len(rows) for rows in problem.rows] == [4, 4, 3] * 2
    epochs = [torch.cat(problem.rows[i : i + 3]).tolist() for i in (0, 3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(11))] * 2
    assert epochs[0] != epochs[1]
    assert torch.equal(run(0).theta, first.theta)
    assert torch.equal(run(np.random.RandomState(0)).theta, first.theta)
    assert not torch.equal(run(1).theta, first.theta)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002
    # A look at the full loss at the start and after each epoch, beside the steps.
    assert first.n_gradients == 3 + 6


# -- the default step ------------------------------------------------------------------


class Growing(TwoLayers):
    """Knows that the gradient in the coefficients is what lets weights grow."""

    def growth(self, theta):
        a, b = theta.view(2, -1)
        return (self.X.T @ (self.X @ (a * b) - self.y)).abs().max() / len(self.y)


@pytest.mark.parametrize(
    ("model", "early", "late"), [(TwoLayers, 0.4, 2e-3), (Growing, 0.06, 3e-4)]
)
def test_the_default_step_follows_the_flow(model, early, late):
    # A small start, whose sharpness grows on the way.
    problem = model()
    start = problem.start(1e-3)
    for time, bar in ((5.0, early), (40.0, late)):
        flow = chebyshev(problem, start, max_time=time, rtol=1e-6)
        result = descent(problem, start, max_time=time)
        assert (result.status, result.time) == ("max_time", time)
        gap = float((result.theta - flow.theta).norm() / flow.theta.norm())
        assert gap < bar, time


def test_the_default_step_is_a_tenth_of_what_is_stable():
    times = []
    descent(
        Quadratic(50.0, 1.0),
        ones(2),
        max_iter=3,
        on_node=lambda time, theta, loss: times.append(time),
    )
    np.testing.assert_allclose(np.diff(times), 0.2 / 50, rtol=0.01)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_the_default_step_is_measured_again_every_five_epochs(batch_size):
    asked = []

    class Own(TwoLayers):
        def sharpness(self, theta, start=None):
            asked.append((theta, start))
            return 1.0, len(asked)

    problem = Own()
    length = 1 if batch_size is None else 3
    options = {"batch_size": batch_size, "random_state": 0}
    descent(problem, problem.start(), max_iter=12 * length, **options)
    assert [start for _, start in asked] == [None, 1, 2]
    after = descent(problem, problem.start(), max_iter=5 * length, **options)
    assert torch.equal(asked[1][0], after.theta)


def test_an_epoch_of_default_steps_takes_the_time_of_a_full_one():
    times = {}
    for batch_size in (None, 4):
        problem = TwoLayers()
        times[batch_size] = descent(
            problem,
            problem.start(),
            batch_size=batch_size,
            random_state=0,
            max_iter=5 if batch_size is None else 15,
        ).time
    assert times[4] == pytest.approx(times[None] * 3 * 4 / 11)


# -- nodes and ends --------------------------------------------------------------------


def test_nodes_are_told_at_the_first_step_not_before_them():
    told = []
    descent(
        Quadratic(1.0),
        ones(1),
        learning_rate=0.1,
        max_iter=10,
        nodes=[0.05, 0.25, 0.26, 0.65],
        on_node=lambda time, theta, loss: told.append(round(10 * time)),
    )
    assert told == [0, 1, 3, 7, 10]


def test_mini_batches_are_told_of_after_each_epoch_or_at_nodes():
    problem = TwoLayers()
    for nodes, expected in ((None, [0, 3, 6, 7]), ([0.2], [0, 2, 7])):
        told = []
        descent(
            problem,
            problem.start(),
            learning_rate=0.1,
            batch_size=4,
            random_state=0,
            max_iter=7,
            nodes=nodes,
            on_node=lambda time, theta, loss, told=told: told.append(round(10 * time)),
        )
        assert told == expected


@pytest.mark.parametrize("batch_size", [None, 4])
def test_it_converges_above_the_floor(batch_size):
    problem = TwoLayers()
    start = problem.start()
    # The noise of mini batches falls with the step.
    result = descent(
        problem,
        start,
        learning_rate=0.1 if batch_size is None else 0.005,
        batch_size=batch_size,
        random_state=0,
        tol=1e-3,
        floor=problem.floor,
    )
    assert result.status == "converged"
    excess = float(problem.gradient(start)[1]) - problem.floor
    assert 0 < result.loss - problem.floor <= 1e-3 * excess


def test_it_comes_to_rest_where_the_loss_cannot_fall():
    problem = TwoLayers()
    run = lambda: descent(problem, problem.start(), learning_rate=0.5)
    plateau = run()
    assert plateau.status == "plateau"
    assert plateau.loss == pytest.approx(problem.floor, rel=1e-3)
    problem.growth = lambda theta: 0.0
    assert run().status == "stationary"
    assert run().time < plateau.time


@pytest.mark.parametrize(
    ("rate", "n_iter"), [(0.1, 10), (0.3, 3), (1.0, 1), (2.0, 0), (0.7, 1)]
)
def test_constant_steps_end_at_the_last_not_beyond_max_time(rate, n_iter):
    result = descent(Quadratic(0.5), ones(1), learning_rate=rate, max_time=1.0)
    assert (result.status, result.n_iter) == ("max_time", n_iter)
    assert result.time == n_iter * rate
    assert float(result.theta[0]) == pytest.approx((1 - 0.5 * rate) ** n_iter)


def test_a_max_time_of_three_steps_is_three_steps():
    assert 3 * 0.1 > 0.3  # in floating point
    result = descent(Quadratic(0.5), ones(1), learning_rate=0.1, max_time=0.3)
    assert (result.status, result.n_iter) == ("max_time", 3)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_divergence_keeps_a_finite_state(batch_size):
    problem = TwoLayers()
    start = problem.start()
    result = descent(
        problem, start, learning_rate=3.0, batch_size=batch_size, random_state=0
    )
    assert result.status == "diverged"
    assert "decrease learning_rate" in result.message
    assert torch.isfinite(result.theta).all()
    loss = problem.gradient(result.theta)[1]
    assert result.loss == float(loss) <= 1e6 * float(problem.gradient(start)[1])


def test_on_node_stops_it():
    for when in (0.0, 0.35):
        result = descent(
            Quadratic(1.0),
            ones(1),
            learning_rate=0.1,
            on_node=lambda time, theta, loss, when=when: time >= when,
        )
        assert result.status == "stopped"
        assert result.n_iter == math.ceil(when / 0.1)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_the_keyboard_keeps_what_was_reached(batch_size):
    class Interrupted(TwoLayers):
        n_calls = 0

        def _gradient(self, *arguments):
            self.n_calls += 1
            if self.n_calls == 13:
                raise KeyboardInterrupt
            return super()._gradient(*arguments)

    problem = Interrupted()
    options = {"learning_rate": 0.1, "batch_size": batch_size, "random_state": 0}
    result = descent(problem, problem.start(), **options)
    assert result.status == "interrupted"
    # Of mini batches, to the last epoch: a look at the start and three more calls each,
    # and one look.
    assert result.n_iter == (11 if batch_size is None else 6)
    expected = descent(TwoLayers(), problem.start(), max_iter=result.n_iter, **options)
    assert torch.equal(result.theta, expected.theta)
    assert (result.time, result.loss) == (expected.time, expected.loss)


def test_single_precision_stays_so():
    problem = TwoLayers(torch.float32)
    for options in (
        {"learning_rate": 0.1},
        {},
        {"learning_rate": 0.1, "batch_size": 4, "random_state": 0},
    ):
        dtypes = set()
        result = descent(
            problem,
            problem.start(),
            max_iter=20,
            on_node=lambda time, theta, loss, dtypes=dtypes: dtypes.add(theta.dtype),
            **options,
        )
        assert dtypes == {result.theta.dtype} == {torch.float32}


def test_the_start_is_left_alone():
    problem = TwoLayers()
    start = problem.start()
    descent(problem, start, max_iter=5)
    assert torch.equal(start, problem.start())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"max_iter": 0}, "max_iter"),
        ({"batch_size": 0, "random_state": 0}, "batch_size"),
        ({"batch_size": 12, "random_state": 0}, "batch_size"),
        ({"batch_size": 4}, "random_state"),
        ({"tol": -1.0}, "tol"),
        ({"max_time": -1.0}, "max_time"),
        ({"nodes": [2.0, 1.0]}, "nodes"),
    ],
)
def test_bad_options_are_refused(options, match):
    problem = TwoLayers()
    with pytest.raises(ValueError, match=match):
        descent(problem, problem.start(), **options)


def test_a_start_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        descent(Quadratic(math.nan), ones(1), learning_rate=0.1)
