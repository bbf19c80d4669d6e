"""Sphinx configuration."""

import os
import sys
import warnings
from pathlib import Path

import skmtl

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
# An example imports the app of the guide's page on serving.
sys.path.insert(0, str(Path(__file__).parent / "serving"))

# One run of the gallery in one process; a picture needs no screen.
os.environ.setdefault("MPLBACKEND", "Agg")
warnings.filterwarnings("error", module="skmtl")

project = "skmtl"
author = "the skmtl developers"
copyright = "2026, the skmtl developers"
version = release = skmtl.__version__

extensions = [
    "accessible",
    "api",
    "drawing",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.towncrier.ext",
]
autosummary_generate = True
# The page of the guide to which the reference page of an object links.
autosummary_context = {
    "guide": {
        "skmtl": "architectures",
        "skmtl.calibration": "probabilities",
        "skmtl.datasets": "datasets",
        "skmtl.displays": "displays",
        "skmtl.embedders": "pretrained",
        "skmtl.export": "serving",
        "skmtl.inspection": "diagnostics",
        "skmtl.metrics": "metrics",
        "skmtl.model_selection": "metrics",
        "skmtl.modules": "architectures",
        "skmtl.persistence": "saving",
        "skmtl.rankers": "architectures",
        "skmtl.weighting": "loss_weights",
        "BagColumn": "tables",
        "BiasTower": "position_bias",
        "Cross": "crosses",
        "CrossNetwork": "crosses",
        "CrossedEmbedding": "crosses",
        "Dropout": "several_machines",
        "EncodedTable": "tables",
        "FactorizationMachine": "crosses",
        "FixedOutputWeights": "output_weights",
        "ModuleCross": "crosses",
        "OrderedThresholds": "task_kinds",
        "OutputWeightSearchCV": "output_weights",
        "Pretrained": "pretrained",
        "PretrainedEmbedding": "pretrained",
        "RaggedArray": "tables",
        "TableEncoder": "tables",
        "TargetAttention": "crosses",
        "TransformerPooling": "crosses",
        "fuse": "output_weights",
    }
}
toc_object_entries_show_parents = "hide"
# The template lists the members; numpydoc's tables would repeat them.
numpydoc_show_class_members = False
viewcode_line_numbers = True
# The fragments in docs/changes are shown on the changelog page until a release.
towncrier_draft_autoversion_mode = "draft"
towncrier_draft_include_empty = False
towncrier_draft_working_directory = Path(__file__).parent.parent
templates_path = ["_templates"]
exclude_patterns = ["_build", "changes", "examples"]
nitpicky = False

html_theme = "pydata_sphinx_theme"
html_title = "skmtl"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skmtl",),
    "within_subsection_order": "gallery.ByLesson",
    "thumbnail_size": (480, 360),
    "image_srcset": ["2x"],
}
