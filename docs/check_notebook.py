"""Execute a notebook of the gallery: ``python docs/check_notebook.py NOTEBOOK``.

The gallery runs its examples as scripts. Here a kernel runs the notebook that readers
download, from the root of the repository. It fails if a cell raises an error or writes
to standard error, as warnings do; but for tqdm's, which torch-geometric causes where
ipywidgets is missing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent


def complaints(notebook: nbformat.NotebookNode) -> list[str]:
    """What the cells wrote to standard error."""
    return [
        output["text"]
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr" and "TqdmWarning" not in output["text"]
    ]


def main(path: str) -> None:
    """Run all cells."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}
    )
    client.execute()
    found = complaints(notebook)
    if found:
        raise SystemExit(f"{path} wrote to standard error:\n" + "\n".join(found))
    print(f"{path}: {len(notebook['cells'])} cells run")


if __name__ == "__main__":
    main(sys.argv[1])
