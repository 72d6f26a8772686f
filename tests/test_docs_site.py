"""The checker of the built site finds each kind of fault, and nothing else."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "check_site.py"
GOOD = """<html><head><title>Start</title><link rel="stylesheet" href="style.css">
</head><body><h1 id="top">Start</h1><a href="#top">up</a> <a href="sub/">sub</a>
<a href="sub/index.html#a%20part">part</a> <a href="https://example.org/#x">out</a>
<a href="mailto:me@example.org">mail</a> <img src="a.png" alt="a"></body></html>"""
SUB = """<html><head><title>Sub</title></head><body><p id="a part"></p>
<a href="../index.html">back</a></body></html>"""


@pytest.fixture(scope="module")
def checker():
    spec = importlib.util.spec_from_file_location("check_site", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "sub" / "index.html").write_text(SUB)
    (tmp_path / "style.css").touch()
    (tmp_path / "a.png").touch()
    return tmp_path


def test_a_good_site_passes(checker, site):
    assert checker.check(site) == []
    assert checker.main(site) == 0


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ("#top", "#bottom", "no such anchor: #bottom"),
        ("#a%20part", "#other", "no such anchor: sub/index.html#other"),
        ("a.png", "b.png", "no such file: b.png"),
        ('href="sub/"', 'href="away/"', "no such file: away/"),
        ("style.css", "lost.css", "no such file: lost.css"),
        ('href="sub/"', 'href="../x.html"', "leads out of the site: ../x.html"),
        ("<title>Start</title>", "", "no title"),
        ("<title>Start</title>", "<title> </title>", "no title"),
        (' alt="a"', "", "picture without alternative text: a.png"),
    ],
)
def test_each_fault_is_found(checker, site, good, bad, fault, capsys):
    assert good in GOOD
    (site / "index.html").write_text(GOOD.replace(good, bad))
    assert checker.check(site) == [f"index.html: {fault}"]
    assert checker.main(site) == f"1 faults in {site}"
    assert fault in capsys.readouterr().err


def test_a_site_without_pages_is_a_fault(checker, tmp_path):
    assert checker.check(tmp_path) == [f"{tmp_path.resolve()}: no pages"]
