"""Multi-task ranking for people who live in scikit-learn.

The estimators live behind lazy names, so that ``import skmtl`` loads neither
torch nor matplotlib.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

# Public name -> the module that defines it.
_PUBLIC: dict[str, str] = {
    "AITM": "skmtl.rankers",
    "ChainedMMoE": "skmtl.rankers",
    "CrossStitch": "skmtl.rankers",
    "ESMM": "skmtl.rankers",
    "EncodedTable": "skmtl.encoding",
    "FixedOutputWeights": "skmtl.output_weights",
    "MMoE": "skmtl.rankers",
    "MultiTaskRanker": "skmtl.rankers",
    "PLE": "skmtl.rankers",
    "PooledTask": "skmtl.rankers",
    "PretrainedEmbedding": "skmtl.embedders",
    "RaggedArray": "skmtl.encoding",
    "STEM": "skmtl.rankers",
    "OutputWeightSearchCV": "skmtl.output_weights",
    "ShareBottom": "skmtl.rankers",
    "SingleTask": "skmtl.rankers",
    "SoftSharing": "skmtl.rankers",
    "TableEncoder": "skmtl.encoding",
    "fuse": "skmtl.output_weights",
    "load": "skmtl.persistence",
    "save": "skmtl.persistence",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'skmtl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
