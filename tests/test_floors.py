"""The plan of the house: who may import whom.

A unit is a module or a package right under ``skregimes``. It imports only units of
lower floors and itself. ``skregimes/__init__.py`` is the roof: it may import anything,
and nothing imports it.
"""

import ast
import sys
from pathlib import Path

import pytest

import skregimes

FLOORS = [
    {
        "_activations",
        "_arrays",
        "_border",
        "_entries",
        "_folds",
        "_offsets",
        "_samples",
        "_sklearn",
        "_watch",
        "losses",
    },
    {"datasets", "kernels", "limits", "networks"},
    {"flows"},
    {"diagnostics"},
    {"_base", "_factorization", "_relu_network"},
    {"_classification", "_labelled"},
    {"_classifier_start", "_held_out"},
    {
        "callbacks",
        "deep",
        "diagonal",
        "diagonal_classifier",
        "matrix",
        "shallow_relu",
        "tangent",
    },
    {"model_selection"},
    {"inspection"},
]
FLOOR = {unit: level for level, units in enumerate(FLOORS) for unit in units}
ROOF = "skregimes"
ROOT = Path(skregimes.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def unit_of(path):
    """Name of the unit that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(tree, inside_functions=True):
    """Dotted names that a tree imports; ``from a import b`` counts as ``a.b``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import on line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif inside_functions or not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef
        ):
            yield from imports(node, inside_functions)


def units_imported(tree):
    """Units that a tree imports; the roof stands for anything not below it."""
    for name in imports(tree):
        first, *rest = name.split(".")
        if first == ROOF:
            yield rest[0] if rest and rest[0] in FLOOR else ROOF


def private_sklearn_names(tree):
    """Names of scikit-learn that begin with one underscore."""

    def private(dotted):
        return [
            part
            for part in dotted.split(".")
            if part.startswith("_") and not part.startswith("__")
        ]

    def of_sklearn(dotted):
        return dotted.split(".")[0] == "sklearn"

    bound = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if of_sklearn(alias.name):
                    yield from private(alias.name)
                    bound.add(alias.asname or "sklearn")
        elif isinstance(node, ast.ImportFrom) and of_sklearn(node.module or ""):
            for alias in node.names:
                yield from private(f"{node.module}.{alias.name}")
                bound.add(alias.asname or alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names, root = [node.attr], node.value
            while isinstance(root, ast.Attribute):
                names, root = [root.attr, *names], root.value
            if isinstance(root, ast.Name) and root.id in bound:
                yield from private(".".join(names))


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


each_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


@each_file
def test_a_file_has_a_floor_and_imports_only_lower_ones(path):
    unit = unit_of(path)
    assert unit in FLOOR, f"give {unit!r} a floor in FLOORS"
    allowed = {unit, *(low for low in FLOOR if FLOOR[low] < FLOOR[unit])}
    assert set(units_imported(parse(path))) <= allowed


@each_file
def test_only_one_file_touches_private_scikit_learn(path):
    if path.name != "_sklearn.py":
        assert not list(private_sklearn_names(parse(path)))


@each_file
def test_matplotlib_is_imported_only_inside_functions(path):
    top_level = imports(parse(path), inside_functions=False)
    assert "matplotlib" not in {name.split(".")[0] for name in top_level}


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if unit_of(path) == "limits"],
    ids=lambda path: path.name,
)
def test_limits_stand_alone(path):
    # They are the oracle of the flows: nothing of the engine may reach them.
    names = list(imports(parse(path)))
    ours = {name for name in names if name.split(".")[0] == ROOF}
    assert all(name.startswith("skregimes.limits.") for name in ours)
    others = {name.split(".")[0] for name in names} - {ROOF}
    assert others - sys.stdlib_module_names <= {"numpy", "scipy"}


@pytest.mark.parametrize(
    ("source", "unit"),
    [
        ("import skregimes.flows.loop", "flows"),
        ("from skregimes import flows", "flows"),
        ("from skregimes.flows import loop", "flows"),
        ("def f():\n    if True:\n        from skregimes.flows import x", "flows"),
        ("class A:\n    import skregimes.flows as z", "flows"),
        ("import skregimes", ROOF),
        ("from skregimes import DiagonalNetRegressor", ROOF),
    ],
)
def test_the_check_sees_every_form_of_import(source, unit):
    assert list(units_imported(ast.parse(source))) == [unit]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from sklearn.base import _fit_context", "_fit_context"),
        ("from sklearn.utils._param_validation import Interval", "_param_validation"),
        ("import sklearn.utils._testing as t", "_testing"),
        ("import sklearn.base\nsklearn.base._fit_context()", "_fit_context"),
        ("from sklearn import base\nbase._fit_context()", "_fit_context"),
    ],
)
def test_the_check_sees_private_names(source, name):
    assert set(private_sklearn_names(ast.parse(source))) == {name}


def test_the_check_lets_public_names_pass():
    source = "from sklearn.base import BaseEstimator as B\nB.__sklearn_tags__"
    assert not list(private_sklearn_names(ast.parse(source)))
