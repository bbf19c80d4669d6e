"""Every code block of the guide runs and prints what it says."""

import doctest
from pathlib import Path

import pytest

GUIDE = Path(__file__).parent.parent / "docs" / "user_guide"
PAGES = sorted(p for p in GUIDE.glob("*.rst") if ">>>" in p.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_page(page):
    result = doctest.testfile(
        str(page),
        module_relative=False,
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert result.attempted > 0
    assert result.failed == 0
