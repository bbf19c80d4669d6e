"""Sphinx configuration."""

import os
import sys
import warnings
from pathlib import Path

import skmtl

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

# One run of the gallery in one process; a picture needs no screen.
os.environ.setdefault("MPLBACKEND", "Agg")
warnings.filterwarnings("error", module="skmtl")

project = "skmtl"
author = "the skmtl developers"
copyright = "2026, the skmtl developers"
version = release = skmtl.__version__

extensions = [
    "drawing",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
autosummary_generate = True
numpydoc_show_class_members = False
templates_path = ["_templates"]
exclude_patterns = ["_build", "changes", "examples"]
nitpicky = False

html_theme = "pydata_sphinx_theme"
html_title = "skmtl"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
}
