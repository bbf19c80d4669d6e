"""What ``import skmtl`` gives and costs, and what packages of it ask for."""

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
