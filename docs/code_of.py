"""Print the Python of pages as one module: ``python docs/code_of.py PAGE ...``.

``.ci/run`` writes it to ``tests/typed/pages.py`` for the type checkers: what the README
and the guide tell people to type must have no error in an editor.
``tests/test_guide.py`` tests that it runs.
"""

from __future__ import annotations

import doctest
import re
import sys
import textwrap
from pathlib import Path


def code_of(page: Path) -> str:
    """The code blocks and the interactive examples of a page, in a function."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"code-block:: python\n\n((?:    .*\n|\n)+)", text)
    code = [textwrap.dedent(block) for block in blocks]
    code += [example.source for example in doctest.DocTestParser().get_examples(text)]
    body = "\n".join(code) or "pass"
    return f"def {page.stem.lower()}() -> None:\n" + textwrap.indent(body, "    ")


def main(pages: list[str]) -> None:
    """Print them all."""
    for page in pages:
        print(code_of(Path(page)))


if __name__ == "__main__":
    main(sys.argv[1:])
