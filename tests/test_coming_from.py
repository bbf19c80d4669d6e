"""The lines of "Coming from ..." that are not code blocks: their names are there."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import partial_dependence
from sklearn.model_selection import GridSearchCV, learning_curve

import skmtl
from skmtl import MMoE, OutputWeightSearchCV, calibration, metrics, model_selection
from skmtl.inspection import task_classifier
from tests.output_weights.tables import three_tasks

ROW = re.compile(
    r"^   \* - (.*?)\n     - (.*?)(?=\n   \* -|\n\n|\Z)", re.MULTILINE | re.DOTALL
)
GUIDE = Path(__file__).parents[1] / "docs" / "user_guide"
PLACES = (skmtl, metrics, model_selection, calibration)
OTHERS = {
    one.__name__: one for one in (learning_curve, partial_dependence, task_classifier)
}
PARAMETERS = {*inspect.signature(MMoE).parameters}
PARAMETERS |= set(inspect.signature(MMoE.fit).parameters)


def cells(page):
    """Pairs of a habit and the line here, from the tables of a page."""
    text = (GUIDE / page).read_text("utf-8")
    rows = re.findall(
        r"^   \* - (.*?)\n     - (.*?)(?=\n   \* -|\n\n|\Z)", text, re.M | re.S
    )
    return [tuple(re.sub(r"\n\s+", " ", one) for one in row) for row in rows]


def codes(cell):
    return re.findall(r"``(.+?)``", cell)


def calls(code):
    """Names and keywords of the calls in a piece of code, or of bare keywords."""
    for text in (code, f"_({code})"):
        try:
            tree = ast.parse(text.replace("...", "None"))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                yield name, [one.arg for one in node.keywords if one.arg]
        return


HERE = [here for _, here in cells("coming_from.rst") if codes(here)]


@pytest.mark.parametrize("here", HERE)
def test_keywords_and_calls_are_there(here):
    for code in codes(here):
        for name, keywords in calls(code):
            found = [getattr(place, name) for place in PLACES if hasattr(place, name)]
            target = found[0] if found else OTHERS.get(name)
            if target is None:
                assert set(keywords) <= PARAMETERS, code
                assert (
                    name in ("_", "fit", "", "joblib")
                    or hasattr(MMoE, name)
                    or (name in ("dump", "encode"))
                ), code
                continue
            known = set(inspect.signature(target).parameters)
            assert set(keywords) <= known, code


def test_most_lines_name_something():
    assert len(HERE) > 30
    assert sum(1 for here in HERE for code in codes(here) for _ in calls(code)) > 20


def grid_search_rows():
    text = (GUIDE / "output_weights.rst").read_text("utf-8")
    table = text.partition("Beside ``GridSearchCV``")[2].partition("Scorers over")[0]
    return re.findall(
        r"^   \* - (.*?)\n     - (.*?)(?=\n   \* -|\n\n|\Z)", table, re.M | re.S
    )


def test_every_name_of_grid_search_has_a_row():
    doc = ClassDoc(GridSearchCV)
    names = {one.name for one in [*doc["Parameters"], *doc["Attributes"]]}
    names |= {name for name in dir(GridSearchCV) if not name.startswith("_")}
    shown = {name for row, _ in grid_search_rows() for name in codes(row)}
    shown = {re.match(r"\w+", name).group() for name in shown}
    assert names <= shown


def test_same_is_there_and_not_there_is_not():
    proba, y = three_tasks(300, 0)
    search = OutputWeightSearchCV(
        RandomForestClassifier(5, random_state=0), weights=2, cv=2, scoring="auc:0"
    ).fit(proba, y)
    for row, here in grid_search_rows():
        for name in codes(row):
            if not name.isidentifier() or name in ("GridSearchCV", "feature_names_in_"):
                continue
            if here.startswith("Not there"):
                assert not hasattr(search, name), name
            elif not here.startswith("``weights``") and name != "predict_log_proba":
                assert hasattr(search, name), name
