"""Every code block of the guide runs and prints what it says."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
WRITTEN = [*sorted((DOCS / "user_guide").glob("*.rst")), DOCS / "contributing.rst"]
PAGES = [page for page in WRITTEN if ">>>" in page.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_page(page):
    result = doctest.testfile(
        str(page),
        module_relative=False,
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert result.attempted > 0
    assert result.failed == 0
