"""Arrays cross into torch and back unharmed, and draws do not depend on where."""

import numpy as np
import pytest
import torch

from skregimes._border import check_device, draw_normal, to_numpy, to_tensor


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        read_only,
        lambda a: a[::-1],
        lambda a: a.astype(">f8"),
        lambda a: a.astype(np.float32),
        lambda a: a[0, 0],
    ],
    ids=["fortran", "read-only", "negative stride", "big endian", "float32", "0-d"],
)
def test_there_and_back(layout):
    array = layout(np.random.default_rng(0).normal(size=(3, 4)))
    tensor = to_tensor(array)
    np.testing.assert_array_equal(to_numpy(tensor), array)
    assert to_numpy(tensor).dtype == array.dtype.newbyteorder("=")


def test_neither_way_shares_memory():
    array = np.zeros(3)
    tensor = to_tensor(array)
    back = to_numpy(tensor)
    tensor += 1
    np.testing.assert_array_equal([array, back], np.zeros((2, 3)))


def test_a_tensor_with_gradient_comes_back():
    np.testing.assert_array_equal(to_numpy(torch.ones(2, requires_grad=True)), [1, 1])


def test_draws_agree_across_dtypes_and_leave_global_state_alone():
    before = torch.get_rng_state()
    # torch's own streams part ways from 16 numbers on
    f8 = draw_normal((5, 20), np.random.RandomState(0))
    f4 = draw_normal((5, 20), np.random.RandomState(0), dtype=torch.float32)
    other = draw_normal((5, 20), np.random.RandomState(1))
    assert f8.dtype == torch.float64
    torch.testing.assert_close(f8.float(), f4, rtol=0, atol=0)
    assert not torch.equal(f8, other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.gpu
def test_draws_agree_across_devices():
    cpu = draw_normal((5, 20), np.random.RandomState(0))
    gpu = draw_normal((5, 20), np.random.RandomState(0), device=check_device("cuda"))
    assert torch.equal(cpu, gpu.cpu())


def test_check_device_accepts_the_cpu():
    assert check_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "not the name of a torch device"),
        (None, "not the name of a torch device"),
        ("meta", "not supported"),
        ("mps", "not supported"),
        ("cuda:99", "torch sees"),
    ],
)
def test_check_device_says_what_to_do(device, message):
    with pytest.raises(ValueError, match=message) as raised:
        check_device(device)
    assert "'cpu'" in str(raised.value)
