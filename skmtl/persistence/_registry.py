"""The classes that a file may name."""

from __future__ import annotations

from importlib import import_module

from skmtl.persistence._container import RefusedError
from skmtl.weighting import get_strategy, get_strategy_names


class UnknownClassError(RefusedError):
    """A file names a class that is not in the list."""


# Names in a file, and modules of their classes. Names are fixed, modules may change.
RANKERS = [
    "AITM", "ChainedMMoE", "CrossStitch", "ESMM", "MMoE", "MultiTaskRanker", "PLE",
    "PooledTask", "STEM", "ShareBottom", "SingleTask", "SoftSharing",
]  # fmt: skip
OTHER_ESTIMATORS = [
    "CalibratedTasksCV", "FixedOutputWeights", "GraphSAGEEmbedder",
    "OutputWeightSearchCV", "TableEncoder", "Word2VecEmbedder",
]  # fmt: skip
# Every strategy with a name, so that a new one can be saved too.
STRATEGIES = [
    "StaticWeighting",
    "TorchJDScalarizer",
    "TorchJDWeighting",
    *(type(get_strategy(name)).__name__ for name in get_strategy_names()),
]
SPLITTERS = [
    "GroupKFold", "GroupShuffleSplit", "KFold", "RepeatedKFold",
    "RepeatedStratifiedKFold", "ShuffleSplit", "StratifiedGroupKFold",
    "StratifiedKFold", "StratifiedShuffleSplit", "TimeSeriesSplit",
]  # fmt: skip
TASK_KINDS = ["BinaryTask", "MulticlassTask", "OrdinalTask", "RegressionTask"]
CALIBRATION_MAPS = ["IdentityMap", "IsotonicMap", "PriorShiftMap", "SigmoidMap"]
# Parts of a network, which are hyperparameters of `MultiTaskRanker` as classes.
PARTS = [
    "ChainedTowers", "CrossNetwork", "CrossStitchBottoms", "EmbeddingExperts",
    "ExpertMixture", "FactorizationMachine", "ModuleBottom", "ParallelTowers",
    "PooledTower", "ProductTowers", "ProgressiveExtraction", "SharedBottom",
    "SoftlySharedBottoms", "TaskBottoms", "TransferTowers",
]  # fmt: skip
# Optimisers of torch, which may be hyperparameters as classes.
OPTIMIZERS = [
    f"torch.optim.{name}"
    for name in (
        "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon",
        "NAdam", "RAdam", "RMSprop", "Rprop", "SGD",
    )
]  # fmt: skip
# Those of TorchJD that have weights for the tasks.
_AGGREGATORS = [
    "AlignedMTL", "CAGrad", "Constant", "DualProj", "FairGrad", "GradVac", "IMTLG",
    "Krum", "MGDA", "Mean", "NashMTL", "PCD", "PCGrad", "Random", "Sum", "UPGrad",
]  # fmt: skip
_SCALARIZERS = [
    "COSMOS", "Constant", "DWA", "GeometricMean", "IMTLL", "Mean", "PBI", "Random",
    "STCH", "Sum", "UW",
]  # fmt: skip
_AGGREGATION, _SCALARIZATION = "torchjd.aggregation", "torchjd.scalarization"
TORCHJD: dict[str, str] = {
    **{f"{_AGGREGATION}.{name}": _AGGREGATION for name in _AGGREGATORS},
    **{
        f"{_AGGREGATION}.{name}Weighting": _AGGREGATION
        for name in [*_AGGREGATORS, "CRMOGM"]
        if name != "NashMTL"
    },
    **{f"{_SCALARIZATION}.{name}": _SCALARIZATION for name in _SCALARIZERS},
}
CLASSES: dict[str, str] = {
    **dict.fromkeys(RANKERS, "skmtl.rankers"),
    **dict.fromkeys(STRATEGIES, "skmtl.weighting"),
    **dict.fromkeys(PARTS, "skmtl.modules"),
    **dict.fromkeys(OPTIMIZERS, "torch.optim"),
    **TORCHJD,
    **dict.fromkeys(SPLITTERS, "sklearn.model_selection"),
    **dict.fromkeys(CALIBRATION_MAPS, "skmtl.calibration._maps"),
    **dict.fromkeys(TASK_KINDS, "skmtl.tasks"),
    "CalibratedTasksCV": "skmtl.calibration",
    "Checkpoint": "skmtl",
    "Fallback": "skmtl.encoding._table",
    "FixedOutputWeights": "skmtl.output_weights",
    "Fold": "skmtl.output_weights._objective",
    "GraphSAGEEmbedder": "skmtl.embedders",
    "HashedIds": "skmtl.encoding._hashing",
    "KeyedVectors": "gensim.models",
    "Labels": "skmtl.metrics._validation",
    "Layout": "skmtl.encoding._table",
    "MultiTaskStratifiedKFold": "skmtl.model_selection",
    "NumberScale": "skmtl.encoding._numbers",
    "Numbers": "skmtl.metrics._gains",
    "OutputWeightSearchCV": "skmtl.output_weights",
    "PretrainedEmbedding": "skmtl.embedders",
    "TableEncoder": "skmtl.encoding",
    "TaskScorer": "skmtl.metrics._task_scorer",
    "TimeSplit": "skmtl.model_selection",
    "Vocabulary": "skmtl.encoding._vocabulary",
    "Word2VecEmbedder": "skmtl.embedders",
}


def find_class(name: object) -> type:
    """Return the class of a name in a file.

    Raises
    ------
    UnknownClassError
        If it is not in the list.
    """
    if not isinstance(name, str) or name not in CLASSES:
        raise UnknownClassError(
            f"The file names the class {name!r}, which this version of skmtl does not "
            "load. It only loads its own estimators; pass your own classes with "
            "load(path, custom_objects={name: object})."
        )
    found: type = getattr(import_module(CLASSES[name]), name.rpartition(".")[2])
    return found


def name_of(cls: type) -> str | None:
    """Return the name of a class in files; None if it is not in the list."""
    name = cls.__name__
    package = cls.__module__.split(".")[:2]
    if package[0] == "torchjd" or package == ["torch", "optim"]:
        name = ".".join([*package, name])
    return name if name in CLASSES and find_class(name) is cls else None


def trusted_types() -> list[str]:
    """List the names to trust when skops loads an estimator of skmtl.

    Only estimators are listed: they read their content themselves, as
    :func:`skmtl.load` does.

    Returns
    -------
    list of str
        For ``skops.io.load(path, trusted=...)``.

    Examples
    --------
    >>> from skmtl.persistence import trusted_types
    >>> "skmtl.encoding._encoder.TableEncoder" in trusted_types()
    True
    """
    classes = [find_class(name) for name in (*RANKERS, *OTHER_ESTIMATORS)]
    return [f"{cls.__module__}.{cls.__name__}" for cls in classes]
