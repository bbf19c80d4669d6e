"""matplotlib is loaded when something is drawn, and asked for by the extra's name."""

import sys

import pytest

from skmtl.displays import ExpertSimilarityDisplay


def test_notebooks_show_no_repr_beside_the_figure():
    formatters = pytest.importorskip("IPython.core.formatters")
    format_as_notebook = formatters.DisplayFormatter().format
    assert format_as_notebook([1])[0] == {"text/plain": "[1]"}
    assert format_as_notebook(ExpertSimilarityDisplay(similarity=[[1]]))[0] == {}


def test_a_missing_matplotlib_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skmtl\[plot\]"'):
        ExpertSimilarityDisplay(similarity=[[1]]).plot()
