"""Infinite-width tangent kernels against other packages, mpmath and real networks."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import ndtr
from skntk import NeuralTangentKernel

from skregimes.kernels import (
    BiasedReLUTangentKernel,
    ReLUTangentKernel,
    ResNetTangentKernel,
    ShallowReLUTangentKernel,
    hidden_kernel,
    output_kernel,
    shallow_relu_kernel,
)

X = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0], [-1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
Y = np.array([[1.0, 2.0, 0.0], [0.3, -0.4, 0.5]])

# From neural-tangents 0.6.5 with jax 0.4.30 in float64, at the points above:
#   D = lambda: stax.Dense(1, W_std=v**0.5, b_std=b**0.5 or None)
#   stax.serial(D(), act(), D(), ..., act(), D())[2](X, Y, "ntk")
# with act stax.Relu, stax.LeakyRelu(0.01) or stax.Abs.
NEURAL_TANGENTS = [
    (
        ("relu", 1, 2.0, 0.1),
        [
            [3.4333333333333345, -0.23333333333333336],
            [-0.9000000000000002, 1.4666666666666668],
            [-3.2333333333333343, 0.6000000000000001],
            [0.1, 0.1],
        ],
    ),
    (
        ("relu", 2, 2.0, 0.1),
        [
            [6.96666666666667, 0.27634565235674124],
            [0.8326755095766551, 2.8025657774935606],
            [-0.2911800727238164, 1.2400944419035151],
            [0.3946945538248556, 0.29001574031725247],
        ],
    ),
    (
        ("relu", 3, 1.5, 0.0),
        [
            [4.218749999999998, 0.19544390294849368],
            [1.027849192761958, 1.5220999138650093],
            [0.4110270007082857, 0.5861707582794136],
            [0.0, 0.0],
        ],
    ),
    (
        ("relu", 6, 1.7, 0.4),
        [
            [12.581495562499995, 4.480818103316137],
            [6.481586156815672, 6.239644653622223],
            [5.022720872596592, 5.123809835981907],
            [4.460997730311201, 4.444822589809254],
        ],
    ),
    (
        ("leaky_relu", 3, 2.0, 0.1),
        [
            [10.60208010300001, 0.8885209698616864],
            [2.7639672782272506, 4.021661576108003],
            [1.045734049386397, 1.930766305753635],
            [0.8060241575049241, 0.557228624682182],
        ],
    ),
    (
        ("abs", 4, 1.0, 0.2),
        [
            [8.666666666666668, 2.142657275671096],
            [4.683466445328216, 3.212177207890278],
            [4.977769893206527, 2.3664246813714973],
            [1.8862478258863837, 1.6056508126269864],
        ],
    ),
]
# Likewise, with W = stax.Dense(1), n_blocks residual blocks between two W:
#   serial(FanOut(2), parallel(Identity(), serial(Dense(1, W_std=2**0.5), Relu(),
#   Dense(1, W_std=residual_scale))), FanInSum())
NEURAL_TANGENTS_RESNET = [
    (
        (1, 0.5),
        [
            [5.0, -0.32001979806245784],
            [-0.845041918682766, 2.0056518788421442],
            [-3.3907270347928202, 0.7394883058004612],
            [0.0, 0.0],
        ],
    ),
    (
        (3, 0.7),
        [
            [21.90498666666667, 0.12032301580768615],
            [1.9465593962364827, 8.252590190128835],
            [-3.908203536449167, 3.1044289115111727],
            [0.0, 0.0],
        ],
    ),
]


@pytest.mark.parametrize(("network", "values"), NEURAL_TANGENTS)
def test_neural_tangents(network, values):
    activation, *where = network
    kernel = ReLUTangentKernel(*where, activation=activation)
    assert_allclose(kernel(X, Y), values, rtol=3e-15, atol=3e-15)


@pytest.mark.parametrize(("network", "values"), NEURAL_TANGENTS_RESNET)
def test_neural_tangents_resnet(network, values):
    assert_allclose(ResNetTangentKernel(*network)(X, Y), values, rtol=2e-14, atol=1e-14)


@pytest.mark.parametrize("hidden_layers", [1, 2, 5])
@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_scikit_ntk(hidden_layers, bias):
    points = np.random.default_rng(0).standard_normal((20, 4))
    depth, b = hidden_layers + 1, bias**2
    kernel = ReLUTangentKernel(depth, bias_variance=b, bias_init="zero")
    peer = NeuralTangentKernel(hidden_layers, bias)(points, points[:7] + 0.1)
    ours = kernel(points * np.sqrt(4 / 2), (points[:7] + 0.1) * np.sqrt(4 / 2))
    assert_allclose(ours / depth / (b + 1), peer, rtol=1e-13)


def test_one_hidden_layer_in_closed_form():
    """Cho and Saul's kernels of degree one and zero (NeurIPS 2009, equation 6)."""
    angle, p, q, v = 0.7, 1.3, 0.4, 1.7
    x, y = [[p, 0.0]], [[q * np.cos(angle), q * np.sin(angle)]]
    degree_one = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
    degree_zero = (np.pi - angle) / np.pi
    value = v**2 / 4 * p * q * (degree_one + np.cos(angle) * degree_zero)
    assert_allclose(ReLUTangentKernel(2, v, 0.0)(x, y), [[value]], rtol=1e-15)
    # Without trained ends a single block of scale 1 is this network, all else equal.
    block = ResNetTangentKernel(1, 1.0, train_ends=False)(x, y)
    assert_allclose(block, value * 2 / v**2, rtol=1e-15)


def exact(x, y, depth, v, b, zero_start=False, share=0.5, moment=0.5):
    """The recursion in 60 digits, as Arora et al. (2019) write it."""
    with mpmath.workdps(60):
        x, y = ([mpmath.mpf(float(t)) for t in z] for z in (x, y))
        v, b = mpmath.mpf(v), mpmath.mpf(b)
        started = 0 if zero_start else b
        Sxx, Sxy, Syy = (
            v * mpmath.fdot(s, t) / len(x) + started
            for s, t in ((x, x), (x, y), (y, y))
        )
        K = Sxy + b - started
        for _ in range(depth - 1):
            size = mpmath.sqrt(Sxx * Syy)
            cosine = max(-1, min(1, Sxy / size))
            angle = mpmath.acos(cosine)
            bent = 2 * share / mpmath.pi * (mpmath.sin(angle) - angle * cosine)
            slopes = v * moment * (1 - 2 * share / mpmath.pi * angle)
            Sxy = v * moment * size * (cosine + bent) + started
            Sxx, Syy = (v * moment * s + started for s in (Sxx, Syy))
            K = K * slopes + Sxy + b - started
        return float(K)


@pytest.mark.parametrize("activation", ["relu", "abs", "leaky_relu"])
@pytest.mark.parametrize("b", [0.0, 1e-5, 0.3])
@pytest.mark.parametrize("n_features", [1, 2, 7])
def test_points_that_nearly_coincide_or_oppose(activation, b, n_features):
    """arccos of a rounded cosine would be wrong by 1e-8."""
    low = {"relu": 0.0, "abs": -1.0, "leaky_relu": 0.01}[activation]
    moment = (1 + low**2) / 2
    share = (1 - low) ** 2 / 4 / moment
    rng = np.random.default_rng(n_features)
    x, turn = rng.standard_normal((2, n_features))
    points = [x + gap * turn for gap in (0, 1e-12, 1e-9, 1e-6, 1e-3, 0.1)]
    points = np.array([*points, *(-np.array(points)), 2 * x, -0.5 * x])
    for depth, v in ((2, 2.0), (4, 1.3)):
        kernel = ReLUTangentKernel(depth, v, b, activation=activation)
        K = kernel(points)
        for i in (0, 3, 7):
            for j in range(len(points)):
                value = exact(points[i], points[j], depth, v, b, False, share, moment)
                size = np.sqrt(K[i, i] * K[j, j])
                assert_allclose(K[i, j], value, rtol=0, atol=1e-14 * size)


@pytest.mark.parametrize("residual_scale", [0.05, 0.5, 2.0])
def test_resnet_where_points_nearly_coincide_or_oppose(residual_scale):
    x, turn = np.random.default_rng(1).standard_normal((2, 5))
    gaps = np.array([0, 1e-12, 1e-9, 1e-6, 1e-3])[:, None]
    points = np.concatenate([x + gaps * turn, -(x + gaps * turn)])
    K = ResNetTangentKernel(3, residual_scale, train_ends=False)(points)
    for i in (0, 2, 6):
        for j in range(10):
            value = exact_resnet(points[i], points[j], 3, residual_scale)
            size = np.sqrt(K[i, i] * K[j, j])
            assert_allclose(K[i, j], value, rtol=0, atol=1e-14 * size)


def exact_resnet(x, y, n_blocks, alpha):
    """The kernel of Huang et al. (2020) in 60 digits, from the output backwards."""
    with mpmath.workdps(60):
        x, y = ([mpmath.mpf(float(t)) for t in z] for z in (x, y))
        square = mpmath.mpf(alpha) ** 2
        Kxx, K, Kyy = (mpmath.fdot(*z) / len(x) for z in ((x, x), (x, y), (y, y)))
        values, slopes, before = [], [], []
        for _ in range(n_blocks):
            size = mpmath.sqrt(Kxx * Kyy)
            angle = mpmath.acos(max(-1, min(1, K / size)))
            slopes.append(1 - angle / mpmath.pi)
            rest = mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle)
            values.append(size * rest / mpmath.pi)
            before.append(K)
            K += square * values[-1]
            Kxx, Kyy = Kxx * (1 + square), Kyy * (1 + square)
        total, back = mpmath.mpf(0), mpmath.mpf(1)
        for value, slope, K in zip(values[::-1], slopes[::-1], before[::-1]):
            total += square * back * (value + K * slope)
            back *= 1 + square * slope
        return float(total)


def empirical(forward, parameters, points):
    """Inner products of the gradients of a network at some points."""
    rows = []
    for point in points:
        gradient = torch.autograd.grad(forward(point), parameters)
        rows.append(torch.cat([each.flatten() for each in gradient]))
    J = torch.stack(rows)
    return (J @ J.T).numpy()


def relu_network(generator, depth, v, b, zero_start, width, n_features):
    sizes = [n_features, *[width] * (depth - 1), 1]
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    weights = [draw(m, n).requires_grad_() for n, m in pairwise(sizes)]
    biases = [(draw(m) * (not zero_start)).requires_grad_() for m in sizes[1:]]

    def forward(x):
        for i, (W, beta) in enumerate(zip(weights, biases)):
            x = torch.relu(x) if i else x
            x = (v / len(x)) ** 0.5 * W @ x + b**0.5 * beta
        return x[0]

    return forward, weights + biases


def residual_network(generator, n_blocks, alpha, train_ends, width, n_features):
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    A, u = draw(width, n_features).requires_grad_(), draw(width).requires_grad_()
    V, W = draw(2, n_blocks, width, width).unbind()
    V, W = V.clone().requires_grad_(), W.clone().requires_grad_()

    def forward(x):
        h = A @ x / n_features**0.5
        for each_V, each_W in zip(V, W):
            inside = torch.relu((2 / width) ** 0.5 * each_W @ h)
            h = h + alpha / width**0.5 * each_V @ inside
        return u @ h / width**0.5

    return forward, [V, W, A, u] if train_ends else [V, W]


def biased_network(generator, B, train_output, width, n_features):
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    W = draw(width, n_features).requires_grad_()
    b = torch.full((width,), B, dtype=torch.float64, requires_grad=True)
    c = torch.sign(draw(width)).requires_grad_()

    def forward(x):
        return c @ torch.relu(W @ x - b) / width**0.5

    return forward, [W, b, c] if train_output else [W, b]


NETWORKS = {
    "deep": (
        ReLUTangentKernel(3, 1.6, 0.3),
        lambda g: relu_network(g, 3, 1.6, 0.3, False, 400, 3),
    ),
    "deep, biases from zero": (
        ReLUTangentKernel(3, 1.6, 0.3, bias_init="zero"),
        lambda g: relu_network(g, 3, 1.6, 0.3, True, 400, 3),
    ),
    "resnet": (
        ResNetTangentKernel(2, 0.7),
        lambda g: residual_network(g, 2, 0.7, True, 250, 3),
    ),
    "resnet, fixed ends": (
        ResNetTangentKernel(2, 0.7, train_ends=False),
        lambda g: residual_network(g, 2, 0.7, False, 250, 3),
    ),
    "biased": (
        BiasedReLUTangentKernel(0.8),
        lambda g: biased_network(g, 0.8, False, 20_000, 3),
    ),
    "biased, output too": (
        BiasedReLUTangentKernel(0.8, train_output=True),
        lambda g: biased_network(g, 0.8, True, 20_000, 3),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_derivatives_of_wide_networks(name):
    """Means over 24 draws: within five standard errors and the bias of a finite width.

    The bias is of the order of the depth over the width, here at most 2/100.
    """
    kernel, network = NETWORKS[name]
    generator = torch.Generator().manual_seed(0)
    points = torch.from_numpy(X[:3])
    draws = np.array([empirical(*network(generator), points) for _ in range(24)])
    error = draws.mean(axis=0) - kernel(X[:3])
    spread = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    largest = kernel(X[:3]).max()
    assert np.all(np.abs(error) < 5 * spread + 0.02 * largest)
    assert np.all(spread < 0.04 * largest)


@pytest.mark.parametrize("law", ["gaussian", "constant_bias", "uniform"])
@pytest.mark.parametrize("activation", ["relu", "abs", "leaky_relu"])
def test_shallow_kernel_is_the_function(law, activation):
    where = {"law": law, "activation": activation}
    kernel = ShallowReLUTangentKernel(4.0, 0.6, **where)
    function = shallow_relu_kernel(X, Y, bias_scale=4.0, balance=0.6, **where)
    assert_allclose(kernel(X, Y), function, rtol=1e-15, atol=1e-15)
    only_output = ShallowReLUTangentKernel(4.0, 0.0, **where)(X, Y)
    assert_allclose(only_output, output_kernel(X, Y, bias_scale=4.0, **where))


def test_biased_kernel_is_made_of_the_parts():
    where = {"law": "constant_bias", "bias_scale": 0.9}
    hidden = hidden_kernel(X, Y, output_weights="independent", **where)
    assert_allclose(BiasedReLUTangentKernel(0.9)(X, Y), hidden, rtol=1e-15)
    both = BiasedReLUTangentKernel(0.9, train_output=True)(X, Y)
    assert_allclose(both, hidden + output_kernel(X, Y, **where), rtol=1e-15)


def test_share_of_active_units():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((200_000, 3))
    kernel = BiasedReLUTangentKernel(0.7)
    active = np.mean(W @ X.T > 0.7, axis=0)
    assert_allclose(kernel.active_fraction(X), active, atol=5 * 0.5 / np.sqrt(2e5))
    # The diagonal of the kernel counts the same units.
    squares = np.einsum("ij,ij->i", X, X)
    assert_allclose(kernel.diag(X), (squares + 1) * kernel.active_fraction(X))
    assert_allclose(kernel.active_fraction([[0.7, 0.0]]), [ndtr(-1.0)], rtol=1e-15)


def test_a_thousand_layers():
    """He's variance keeps the signal; points apart tend to a quarter of the diagonal.

    Jacot, Gabriel and Hongler, "Freeze and chaos" (2019): the deep ReLU kernel.
    """
    K = ReLUTangentKernel(1000, bias_variance=0.0)(X[:3])
    squares = np.einsum("ij,ij->i", X[:3], X[:3])
    assert_allclose(np.diag(K), 1000 * 2 * squares / 3, rtol=1e-12)
    correlation = K / np.sqrt(np.outer(np.diag(K), np.diag(K)))
    assert_allclose(correlation[np.triu_indices(3, 1)], 0.25, atol=0.01)
    assert np.isfinite(ReLUTangentKernel(1000)(X)).all()


@pytest.mark.parametrize(
    "kernel", [ReLUTangentKernel(2000, 4.0), ResNetTangentKernel(2000, 1.0)]
)
def test_overflow_is_an_error_that_says_what_to_do(kernel):
    with pytest.raises(ValueError, match=r"too large for floating point.*nearer to"):
        kernel(X)
    with pytest.raises(ValueError, match="too large"):
        kernel.diag(X)
