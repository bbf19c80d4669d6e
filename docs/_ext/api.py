"""Anchors for the attributes of a class, and links to labels of scikit-learn's guide.

numpydoc renders an "Attributes" section as a list without anchors. Here each entry
becomes an ``attribute`` directive, so that ``skmtl.MMoE.history_`` can be linked,
indexed and searched like a method.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from numpydoc.docscrape import NumpyDocString
from sphinx.application import Sphinx

STABLE = "https://scikit-learn.org/stable"
REF = re.compile(
    r":ref:`(?:(?P<text>[^`<]+?)\s*<(?P<label>[^`>]+)>|(?P<alone>[^`<]+))`"
)
# Labels that inherited docstrings name. Intersphinx would need the network.
LABELS = {
    "metadata_routing": f"{STABLE}/metadata_routing.html",
    "callbacks": f"{STABLE}/modules/callbacks.html",
    "df_output_transform": f"{STABLE}/modules/df_output_transform.html",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        f"{STABLE}/auto_examples/miscellaneous/plot_set_output.html"
    ),
}


def take_attributes(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Before numpydoc: cut the section out and keep its entries."""
    if what != "class":
        return
    section = NumpyDocString("\n".join(lines))["Attributes"]
    # autodoc documents properties itself, with their own docstrings.
    app.env.temp_data[f"attributes {name}"] = [
        entry
        for entry in section
        if not isinstance(getattr(obj, entry.name, None), property)
    ]
    lines[:] = without_section(lines, "Attributes")


def without_section(lines: list[str], title: str) -> list[str]:
    """A numpydoc docstring without one of its sections."""
    headers = [
        i
        for i, (line, below) in enumerate(pairwise(lines))
        if line.strip() and below and set(below) == {"-"}
    ]
    for start, end in pairwise([*headers, len(lines)]):
        if lines[start] == title:
            return lines[:start] + lines[end:]
    return lines


def add_attributes(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """After numpydoc: a directive for each attribute that was kept."""
    for entry in app.env.temp_data.pop(f"attributes {name}", []):
        for attribute in entry.name.split(", "):
            lines += ["", f".. attribute:: {attribute}"]
            lines += [f"   :type: {entry.type}"] if entry.type else []
            lines += ["", *(f"   {line}" for line in entry.desc)]


def link_labels(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Turn references to scikit-learn's labels into links to its site."""

    def link(match: re.Match[str]) -> str:
        text, label = match["text"], match["label"] or match["alone"]
        if label not in LABELS:
            return match[0]
        return f"`{text or 'the example'} <{LABELS[label]}>`__"

    text = "\n".join(lines)
    text = REF.sub(link, text)
    # Terms of scikit-learn's glossary, which is not ours.
    lines[:] = re.sub(r":term:`([^`<]+)(?: <[^`>]+>)?`", r"\1", text).split("\n")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the handlers around numpydoc's, whose priority is 500."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", take_attributes, priority=400)
    app.connect("autodoc-process-docstring", add_attributes, priority=600)
    app.connect("autodoc-process-docstring", link_labels, priority=700)
    return {"version": "1", "parallel_read_safe": True}
