"""What ``import skmtl`` gives and costs, and what packages of it ask for."""

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import skmtl


@pytest.mark.parametrize("name", skmtl.__all__)
def test_public_names_resolve(name):
    assert getattr(skmtl, name) is not None
    assert name in dir(skmtl)


def public_objects():
    """By name: those of `skmtl`, and of each of its modules."""
    top = {f"skmtl.{name}": getattr(skmtl, name) for name in skmtl.__all__}
    modules = [found for found in top.values() if inspect.ismodule(found)]
    rest = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        for name in getattr(module, "__all__", ())
    }
    return {n: found for n, found in (top | rest).items() if callable(found)}


def test_the_reference_lists_every_public_object():
    page = Path(skmtl.__file__).parents[1] / "docs" / "api.rst"
    if not page.exists():
        pytest.skip("the documentation is not there")
    listed, module = set(), ""
    for line in page.read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif re.fullmatch(r"   \w+", line):
            listed.add(f"{module}.{line.strip()}")
    public = public_objects()
    # An object may be public in two modules, and is listed in one.
    found = {id(public[name]) for name in listed & public.keys()}
    assert not listed - public.keys()
    assert not [name for name, one in public.items() if id(one) not in found]


def test_every_package_is_reached_without_an_import():
    root = Path(skmtl.__file__).parent
    packages = {p.parent.name for p in root.glob("[a-z]*/__init__.py")}
    assert packages <= set(skmtl.__all__), "list it in skmtl/__init__.pyi"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute Nothing"):
        skmtl.Nothing


def test_import_is_light():
    """Also of displays, until one is drawn."""
    code = (
        "import sys, skmtl, skmtl.datasets, skmtl.metrics, skmtl.output_weights;"
        "import skmtl.displays;"
        "skmtl.displays.ExpertSimilarityDisplay(similarity=[[1]]);"
        "print([m for m in ('torch', 'skorch', 'matplotlib', 'polars') "
        "if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_the_conda_recipe_has_the_dependencies_of_pyproject():
    root = Path(__file__).parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    recipe = (root / ".conda" / "recipe.yaml").read_text()
    run = recipe.partition("  run:\n")[2].partition("  run_constraints:")[0]
    found = set(re.findall(r"- (.*)", run)) - {"python >=${{ python_min }}"}
    on_conda = {"torch": "pytorch", "lazy_loader": "lazy-loader"}
    pairs = [one.split(">=") for one in project["dependencies"]]
    assert found == {f"{on_conda.get(name, name)} >={low}" for name, low in pairs}
