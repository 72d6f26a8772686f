"""The README's code runs and prints what the README says it prints."""

import contextlib
import io
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
# Every block of Python but the first, which draws and is run by `test_docs.py`, must be
# followed by a block of text with its output.
BLOCKS = re.findall(
    r"^```python\n(.*?)^```\n(?:\s*^```text\n(.*?)^```$)?",
    README.read_text(encoding="utf-8"),
    flags=re.MULTILINE | re.DOTALL,
)


def test_the_readme_has_an_example():
    assert BLOCKS


@pytest.mark.parametrize(("code", "output"), BLOCKS[1:])
def test_the_readme_prints_what_it_says(code, output):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue() == output
