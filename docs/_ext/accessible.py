"""Correct what docutils writes, for screen readers.

docutils gives citations the role ``doc-biblioentry``, which WAI-ARIA 1.3 deprecates and
which needs parents that it does not write.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

CITATIONS = {
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    ' role="doc-biblioentry"': "",
}


def plain_citations(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Write citations without roles."""
    body = context.get("body")
    if body:
        for found, wanted in CITATIONS.items():
            body = body.replace(found, wanted)
        context["body"] = body


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", plain_citations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
