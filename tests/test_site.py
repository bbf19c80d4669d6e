"""The check of the built site finds what is broken."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent / "docs" / "check_site.py"


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("check_site", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("b.html", ""),
        ("b.html#here", ""),
        ("#top", ""),
        ("b.html#gone", "no such anchor"),
        ("c.html", "no such file"),
        ("https://example.org/x#y", ""),
        ("https://example", "malformed"),
        ("htp://example.org", "unknown scheme"),
    ],
)
def test_links(check, tmp_path, link, problem):
    (tmp_path / "a.html").write_text(f'<h1 id="top">A</h1><a href="{link}">x</a>')
    (tmp_path / "b.html").write_text('<h1 id="here">B</h1>')
    found = list(check.broken_links(tmp_path))
    assert found == ([f"a.html: {link}: {problem}"] if problem else [])


def test_every_public_method_is_looked_for(check, tmp_path):
    from skmtl.displays import TaskROCDisplay

    assert set(check.public_methods(TaskROCDisplay)) >= {"plot", "from_predictions"}
    reference = tmp_path / "generated"
    reference.mkdir()
    check.MODULES = ["skmtl.displays"]
    display = "skmtl.displays"
    for name in __import__(display, fromlist=["x"]).__all__:
        (reference / f"{display}.{name}.html").write_text(
            f'<dt id="{display}.{name}.plot">'
        )
    missing = list(check.missing_methods(tmp_path))
    assert f"{display}.TaskROCDisplay.from_predictions: not in the reference" in missing
    assert not any(".plot:" in m for m in missing)
