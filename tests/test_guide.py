"""Every code block of the guide runs and prints what it says."""

import contextlib
import doctest
import io
import re
import textwrap
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
WRITTEN = [*sorted((DOCS / "user_guide").glob("*.rst")), DOCS / "contributing.rst"]
PAGES = [page for page in WRITTEN if ">>>" in page.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # pages write files
    result = doctest.testfile(
        str(page),
        module_relative=False,
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert result.attempted > 0
    assert result.failed == 0


def blocks(page, mark):
    """The indented blocks that follow the lines that end in `mark`."""
    found = re.findall(rf"{mark}\n\n((?:    .*\n|\n)+)", page.read_text())
    return [textwrap.dedent(block).strip() for block in found]


def test_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = DOCS.parent / "README.rst"
    codes, outputs = blocks(readme, "code-block:: python"), blocks(readme, "prints::")
    assert len(codes) == len(outputs) > 0
    names = {}
    for code, output in zip(codes, outputs, strict=True):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, names)
        found, shown = printed.getvalue().split(), output.split()
        assert len(found) == len(shown)
        for one, other in zip(found, shown, strict=True):
            assert one == other or alike(one, other), (one, other)


def alike(found, shown):
    """Whether a number is one unit in its last place off, as on other machines."""
    if "." not in shown:
        return False
    unit = 10.0 ** -len(shown.partition(".")[2])
    return abs(float(found) - float(shown)) < 1.01 * unit


def test_mlflow(tmp_path, monkeypatch):
    """MLflow is not part of the test extra; where it is installed, its block runs."""
    mlflow = pytest.importorskip("mlflow")
    from skmtl import MMoE
    from skmtl.datasets import make_funnel
    from skmtl.metrics import get_task_scorer

    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    log = make_funnel(2000, random_state=0)
    names = {"MMoE": MMoE, "get_task_scorer": get_task_scorer, "X": log.data}
    names |= {"y": log.target[["click", "cart"]], "small": {"max_iter": 2}}
    names |= {"train": slice(0, 1500), "valid": slice(1500, None)}
    [code] = [
        block
        for block in blocks(DOCS / "user_guide" / "integration.rst", "python")
        if "mlflow" in block
    ]
    exec(code, names)
    run = mlflow.get_run(names["run"].info.run_id)
    assert run.data.metrics["test_auc_cart"] == names["auc"]
    assert "train_auc_click" in run.data.metrics
    assert run.data.params["max_iter"] == "2"
