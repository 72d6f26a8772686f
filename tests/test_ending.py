"""The rules that end a flow, on flows in closed form."""

import math

import numpy as np
import pytest

from skregimes.flows.ending import Ending
from skregimes.flows.result import STATUSES, explain


def walk(ending, times, loss, slope, growth=None):
    """Return how and when a flow ends; ``slope`` is minus the loss' derivative."""
    for time in [0.0, *times]:
        rate = None if growth is None else growth(time)
        status = ending.status(time, loss(time), slope(time), rate)
        if status is not None:
            return status, time
    return None, times[-1]


TIMES = np.geomspace(1e-3, 1e9, 2000)
decay = lambda t: math.exp(-2 * t)


def test_tol_is_relative_to_the_initial_loss_above_the_floor():
    loss = lambda t: 3 + 5 * decay(t)
    status, time = walk(
        Ending(tol=1e-4, floor=3.0), TIMES, loss, lambda t: 10 * decay(t)
    )
    assert status == "converged"
    assert time == pytest.approx(-math.log(1e-4) / 2, rel=0.02)


def test_a_perfect_fit_needs_no_tol():
    status, time = walk(Ending(), TIMES, decay, lambda t: 2 * decay(t))
    assert status == "converged"
    assert decay(time) < 1e-28
    # The loss is known to the last places of its floor only.
    loss = lambda t: 1 + max(decay(t), 2.0**-51)
    assert walk(Ending(floor=1.0), TIMES, loss, lambda t: 1e-9)[0] == "converged"


def test_a_local_minimum_is_stationary_where_the_growth_vanishes():
    # One half of the loss is out of reach; what is left falls at rate 2.
    loss = lambda t: 0.5 + 0.5 * decay(t)
    slope = decay
    status, time = walk(Ending(), TIMES, loss, slope, growth=decay)
    assert status == "stationary"
    assert 2 < time < 20
    # With growth that does not vanish, or that is unknown, it takes a plateau.
    for growth in (None, lambda t: 1.0):
        status, time = walk(Ending(), TIMES, loss, slope, growth)
        assert status == "plateau"
        assert time > 100


def test_growth_may_be_a_function_that_is_rarely_asked():
    asked = []
    loss = lambda t: 0.5 + 0.5 * decay(t)
    growth = lambda t: lambda: asked.append(t) or decay(t)
    assert walk(Ending(), TIMES, loss, decay, growth)[0] == "stationary"
    assert 1 < len(asked) < 100
    unknown = lambda t: lambda: None
    assert walk(Ending(), TIMES, loss, decay, unknown)[0] == "plateau"


@pytest.mark.parametrize("growth", [None, lambda t: 1.0])
@pytest.mark.parametrize("alpha", [1e-3, 1e-6, 1e-12])
def test_no_flow_ends_at_the_saddle_of_its_start(alpha, growth):
    # u' = u (1 - u**2) from alpha, of the loss (1 - u**2)**2 / 4.
    u2 = lambda t: 1 / (1 + math.exp(min(-2 * t - 2 * math.log(alpha), 700)))
    loss = lambda t: (1 - u2(t)) ** 2 / 4
    slope = lambda t: u2(t) * (1 - u2(t)) ** 2
    status, time = walk(Ending(tol=1e-6), TIMES, loss, slope, growth)
    assert status == "converged"
    assert time > -math.log(alpha)


def test_limits_and_zero_gradients_end_a_flow():
    assert Ending().status(0.0, 1.0, 0.0) == "stationary"
    assert Ending().status(0.0, 0.0, 0.0) == "converged"
    assert Ending(max_time=0.0).status(0.0, 1.0, 1.0) == "max_time"
    ending = Ending()
    assert ending.status(0.0, 1.0, 1.0) is None
    assert ending.status(math.inf, 0.5, 1e-20) == "stationary"
    status, time = walk(Ending(max_time=2.0), TIMES, decay, lambda t: 2 * decay(t))
    assert status == "max_time"
    assert time == TIMES[np.searchsorted(TIMES, 2.0)]


@pytest.mark.parametrize(
    "options", [{"tol": -1.0}, {"max_time": math.nan}, {"floor": math.inf}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Ending(**options)


def test_every_status_has_its_sentence():
    messages = [explain(status, 7, 2.5) for status in STATUSES]
    assert len(set(messages)) == len(STATUSES)
    for message in messages:
        assert message.endswith(". Reached: step 7, flow time 2.5.")
    with pytest.raises(KeyError):
        explain("tired", 7, 2.5)


# -- logarithms of losses --------------------------------------------------------------


def test_a_logarithm_never_converges_but_comes_to_rest():
    assert Ending(floor=-math.inf).size(-7.0) == 1
    # It falls for ever, and ever slower: by a part of itself, but by 1 a decade.
    falls = lambda t: -math.log1p(t)
    assert walk(Ending(floor=-math.inf), TIMES, falls, lambda t: 1 / (1 + t)) == (
        None,
        TIMES[-1],
    )
    # Its size does not matter, only how much it still falls.
    for level in (-1e6, 0.0, 50.0):
        rests = lambda t, level=level: level + decay(t)
        status, time = walk(
            Ending(floor=-math.inf), TIMES, rests, lambda t: 2 * decay(t), decay
        )
        assert status == "stationary"
        assert 2 < time < 20
        status, time = walk(
            Ending(floor=-math.inf), TIMES, rests, lambda t: 2 * decay(t)
        )
        assert status == "plateau"


@pytest.mark.parametrize(
    "options",
    [{"floor": math.inf}, {"floor": math.nan}, {"floor": -math.inf, "tol": 0.1}],
)
def test_floors_that_make_no_sense(options):
    with pytest.raises(ValueError, match="floor"):
        Ending(**options)
