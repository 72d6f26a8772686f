"""Sphinx configuration; builds offline."""

import os

import skregimes

project = "skregimes"
author = "skregimes developers"
copyright = f"2026, {author}"
version = release = skregimes.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas show without a network, too
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
if os.environ.get("DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "numpy": ("https://numpy.org/doc/stable", None),
        "python": ("https://docs.python.org/3", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }

templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]
# Labels and terms in docstrings inherited from scikit-learn lead outside.
suppress_warnings = ["ref.ref", "ref.term"]

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
# Every public object documents exactly its parameters and what it returns.
numpydoc_validation_checks = {
    "GL08",
    "PR01",
    "PR02",
    "PR03",
    "PR04",
    "PR06",
    "PR07",
    "PR08",
    "PR09",
    "PR10",
    "RT01",
}
# These docstrings are scikit-learn's.
numpydoc_validation_exclude = {r"Kernel\.(clone_with_theta|set_params)$"}

html_theme = "pydata_sphinx_theme"
html_title = "skregimes"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
# Pages without subpages have nothing to show there.
html_sidebars = {
    name: [] for name in ("getting_started", "researchers", "extending", "changelog")
}
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("skregimes",),
    "backreferences_dir": "generated/backreferences",
    "reference_url": {"skregimes": None},
    "remove_config_comments": True,
    "show_memory": False,
}
