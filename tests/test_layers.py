"""The house stands: a file imports only from lower layers."""

import ast
from pathlib import Path

import pytest

import skmtl

ROOT = Path(skmtl.__file__).parent
LAYERS = {
    "_containers": 0,
    "_sklearn": 0,
    "_extras": 0,
    "_weights": 0,
    "_files": 0,
    "_saving": 0,
    "encoding": 1,
    "modules": 1,
    "weighting": 1,
    "metrics": 1,
    "model_selection": 1,
    "datasets": 1,
    "_device": 0,
    "_batches": 1,
    "_lazy": 0,
    "_optim": 1,
    "_losses": 2,
    "output_weights": 2,
    "displays": 2,
    "embedders": 2,
    "inspection": 2,
    "_net": 3,
    "rankers": 4,
    "persistence": 5,
    "__init__": 6,
    "__main__": 6,
}
# Top-level packages that a part of the house must never import.
FORBIDDEN = {
    "encoding": {"torch", "skorch"},
    "metrics": {"torch", "skorch"},
    "model_selection": {"torch", "skorch"},
    "datasets": {"torch", "skorch"},
    "output_weights": {"torch", "skorch"},
    "inspection": {"torch", "skorch"},
    "displays": {"torch", "skorch"},
    "modules": {"pandas", "sklearn", "skorch"},
    "weighting": {"pandas", "sklearn", "skorch"},
}
FILES = sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Absolute dotted names that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    here = part_of(path)
    for name in imports_of(path):
        top, _, rest = name.partition(".")
        assert top not in FORBIDDEN.get(here, set()), f"{here} must not import {top}"
        if top != "skmtl" or not rest:
            continue
        there = rest.split(".")[0]
        if there not in LAYERS or there == here:
            continue
        assert LAYERS[there] < LAYERS[here], f"{here} must not import {there}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_private_scikit_learn_is_named_in_one_file(path):
    if path.name == "_sklearn.py":
        return
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] == "sklearn":
            private = [p for p in parts if p.startswith("_")]
            assert not private, f"import {name} through skmtl._sklearn"


def test_every_part_has_a_layer():
    assert {part_of(path) for path in FILES} <= set(LAYERS)
