"""What every test session starts from."""

import matplotlib
import pytest
import torch

matplotlib.use("Agg")
# Small problems run fastest on one thread, and their rounding is then reproducible.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
