"""The house stands: a file imports only from lower layers."""

import ast
import re
import sys
from functools import cache
from pathlib import Path
from statistics import median

import skmtl
from skmtl.datasets import make_funnel

ROOT = Path(skmtl.__file__).parent
LAYERS = {
    "_containers": 0,
    "_sklearn": 0,
    "_extras": 0,
    "_files": 0,
    "_memory": 0,
    "_messages": 0,
    "_saving": 0,
    "_splits": 0,
    "_task_output": 0,
    "_typing": 0,
    "_versions": 0,
    "_warnings": 0,
    "sources": 1,
    "tasks": 1,
    "modules": 1,
    "encoding": 2,
    "metrics": 2,
    "model_selection": 2,
    "weighting": 2,
    "datasets": 2,
    "output_weights": 3,
    "displays": 3,
    "inspection": 3,
    "calibration": 4,
    "stacking": 4,
    "training": 4,
    "embedders": 5,
    "rankers": 6,
    "persistence": 7,
    "export": 7,
    "distributed": 7,
    "__init__": 8,
    "__main__": 8,
}
# Top-level packages that a part of the house must never import.
FORBIDDEN = {
    "encoding": {"torch", "skorch"},
    "metrics": {"torch", "skorch"},
    "model_selection": {"torch", "skorch"},
    "datasets": {"torch", "skorch"},
    "output_weights": {"torch", "skorch"},
    "calibration": {"torch", "skorch"},
    "stacking": {"torch", "skorch"},
    "inspection": {"torch", "skorch"},
    "displays": {"torch", "skorch"},
    "sources": {"torch", "skorch"},
    "tasks": {"skorch"},
    "modules": {"pandas", "sklearn", "skorch"},
    "weighting": {"pandas", "sklearn", "skorch"},
}
FILES = sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


@cache
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


@cache
def all_imports() -> list[tuple[Path, str]]:
    return [(path, name) for path in FILES for name in sorted(imports_of(path))]


def points_up(here: str, name: str) -> bool:
    """Whether an import names what the part must not know."""
    top, _, rest = name.partition(".")
    there = rest.split(".")[0]
    if top != "skmtl" or there not in LAYERS or there == here:
        return top in FORBIDDEN.get(here, set())
    return LAYERS[there] >= LAYERS[here]


def test_imports_point_down():
    found = [(p, name) for p, name in all_imports() if points_up(part_of(p), name)]
    assert not found, "import what lies lower only"


def test_private_scikit_learn_is_named_in_one_file():
    found = [
        (path, name)
        for path, name in all_imports()
        if re.match(r"sklearn\b.*\._", name) and path.name != "_sklearn.py"
    ]
    assert not found, "import them through skmtl._sklearn"


def test_callbacks_are_imported_where_old_scikit_learn_lacks_them():
    found = {p.name for p, name in all_imports() if name.startswith("sklearn.callback")}
    # Versions before 1.9 have none; the command line asks `HAS_CALLBACKS` first.
    assert found == {"_sklearn.py", "__main__.py"}, "import through skmtl._sklearn"


def test_every_part_has_a_layer():
    assert {part_of(path) for path in FILES} <= set(LAYERS)


def within(path: Path) -> set[Path]:
    """Files of the same part that a file imports."""
    found = set()
    for name in imports_of(path):
        top, *parts = name.split(".")
        whole, without_last = ROOT.joinpath(*parts), ROOT.joinpath(*parts[:-1])
        files = [
            file
            for place in (whole, without_last)
            for file in (place.with_suffix(".py"), place / "__init__.py")
            if top == "skmtl" and file.is_file()
        ]
        found |= set(files[:1]) - {path}
    return {file for file in found if part_of(file) == part_of(path)}


def test_no_imports_go_in_a_circle():
    """Files of a folder import each other in one order; layers see to the folders."""
    left = {path: within(path) for path in FILES}
    while ready := [path for path, needs in left.items() if not needs & left.keys()]:
        for path in ready:
            del left[path]
    assert not left, f"circles among {[str(p.relative_to(ROOT)) for p in left]}"


def test_the_design_page_lists_every_room():
    page = (ROOT.parent / "docs" / "design.rst").read_text()
    rooms = {
        match[1].rstrip("/").removesuffix(".py"): int(match[2])
        for match in re.finditer(r"^``([\w./]+)``\s+(\d+)\s", page, re.M)
    }
    private = {name for name in LAYERS if not name.startswith("__")}
    assert rooms == {name: LAYERS[name] for name in private}


def lines_of_code(path: Path) -> int:
    """Lines without those of docstrings."""
    text = path.read_text()
    texts = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    return len(text.splitlines()) - sum(t.end_lineno - t.lineno + 1 for t in texts)


def test_files_are_short():
    lengths = {path: lines_of_code(path) for path in FILES}
    long = [str(path.relative_to(ROOT)) for path, n in lengths.items() if n > 500]
    assert not long, "split them by what they hold"
    assert median(lengths.values()) <= 150


def test_annotations_are_precise():
    found = [word for p in FILES for word in re.findall(r"\bAny\b", p.read_text())]
    assert len(found) <= 375, "name the types: see skmtl/_typing.py"


def files_entered(work):
    entered = set()
    before = sys.getprofile()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT)):
            entered.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return sorted(str(Path(path).relative_to(ROOT)) for path in entered)


def test_a_reader_of_a_fit_opens_few_files():
    log = make_funnel(2000, order_rate=0.01, random_state=0)
    y = log.target[["click", "cart"]]
    ranker = skmtl.MMoE(max_iter=1, random_state=0)
    ranker.fit(log.data, y)  # what is imported late is there now
    entered = files_entered(lambda: ranker.fit(log.data, y))
    assert len(entered) <= 35, entered
    entered = files_entered(lambda: ranker.predict_task_proba(log.data))
    assert len(entered) <= 12, entered
