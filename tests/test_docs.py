"""What the documentation promises about the package.

An example for every object, and a picture from the five lines of the first page.
"""

import importlib
import inspect
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

# Their data come in a package that is not asked for, not even by the tests.
NOT_RUN = {"skregimes.datasets.load_khan"}
ROOT = Path(__file__).parents[1]
API = ROOT / "docs" / "api.rst"


def listed(page):
    """Return the dotted names in the ``autosummary`` tables of a page."""
    module, names, inside = "", [], False
    for line in page.splitlines():
        if here := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = here[1]
        elif line.startswith(".. autosummary::"):
            inside = True
        elif inside and (entry := re.match(r"   ([A-Za-z_][\w.]*)\s*$", line)):
            names.append(f"{module}.{entry[1]}")
        elif line and not line.startswith(" "):
            inside = False
    return names


def find(dotted):
    """Import an object by its dotted name, wherever its module ends."""
    module, _, rest = dotted.partition(".")
    found = importlib.import_module(module)
    for part in rest.split("."):
        module += f".{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(module)
    return found


NAMES = listed(API.read_text(encoding="utf-8"))


def test_the_reader_of_the_page_reads_it():
    page = """
.. currentmodule:: skregimes

.. autosummary::
   :toctree: generated

   DiagonalNetRegressor
   flows.trajectory.Trajectory

Text in between

   not_a_name_of_a_table
"""
    names = ["DiagonalNetRegressor", "flows.trajectory.Trajectory"]
    assert listed(page) == [f"skregimes.{name}" for name in names]


def test_no_name_is_listed_twice():
    assert len(NAMES) > 50
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_object_of_the_reference_has_an_example_that_runs(name):
    # `--doctest-modules` runs it.
    doc = inspect.getdoc(find(name)) or ""
    *_, examples = re.split(r"^Examples\n-+\n", doc, flags=re.MULTILINE)
    assert examples != doc, f"{name} has no section Examples"
    assert ">>> " in examples
    assert ("+SKIP" in examples) == (name in NOT_RUN)


def first_lines():
    """Return the Python code with which the README and the first page begin."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "index.rst").read_text(encoding="utf-8")
    of_readme = re.search(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    of_page = re.search(r"code-block:: python\n\n((?: {3}.*\n|\n)+)", page)
    return of_readme[1].strip(), textwrap.dedent(of_page[1]).strip()


def test_the_first_lines_draw_both_regimes():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    of_readme, of_page = first_lines()
    assert of_readme == of_page
    lines = [line for line in of_page.splitlines() if line]
    assert len(lines) == 5
    *start, last = lines
    names = {}
    exec("\n".join([*start, f"display = {last}"]), names)
    richness = names["display"].richness
    assert np.all(np.diff(richness) < 0)
    assert richness[0] > 0.9
    assert richness[-1] < 0.1
    assert len(names["display"].figure_.axes) == 2
    pyplot.close("all")


def test_the_pictures_of_the_first_pages_are_there():
    for page in ("README.md", "docs/index.rst", "docs/getting_started.rst"):
        text = (ROOT / page).read_text(encoding="utf-8")
        found = re.findall(r"_static/\w+\.png", text)
        assert found
        assert all((ROOT / "docs" / picture).is_file() for picture in found)
