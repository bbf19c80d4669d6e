"""Fits in the workers of a cluster. This file only starts them.

``training/processes.py`` holds the communication between the processes of a fit.
"""

from __future__ import annotations

import os
from copy import copy
from glob import glob
from typing import TYPE_CHECKING, TypeVar

from sklearn.base import BaseEstimator

from skmtl._containers import is_source
from skmtl._extras import import_extra
from skmtl._typing import LabelsLike, TableLike
from skmtl.training.callbacks import Entry, check_callbacks
from skmtl.training.checkpoint import Checkpoint
from skmtl.training.ranker import TrainableRanker

if TYPE_CHECKING:
    from ray.train import RunConfig, ScalingConfig

__all__ = ["fit_on_ray"]

Ranker = TypeVar("Ranker", bound=TrainableRanker)


def fit_on_ray(
    ranker: Ranker,
    X: TableLike,
    y: LabelsLike,
    *,
    scaling_config: ScalingConfig,
    run_config: RunConfig | None = None,
    **fit_params: object,
) -> Ranker:
    """Fit a ranker in several workers of a Ray cluster.

    Ray starts the workers and their process group. Each worker takes its share of the
    rows of every batch. The result equals that of ``ranker.fit`` in one process, up to
    rounding. Install the extra ``ray`` to use it.

    Parameters
    ----------
    ranker : estimator
        The ranker. It is fitted when this returns, as after ``ranker.fit``.
    X : table or source
        Of shape (n_samples, n_features), as `fit` takes it. A table in memory is sent
        to every node once. The files of a source are opened by the workers, so that
        their paths must mean the same on every node. Workers start in a folder of
        their own: relative paths of files that exist here are made absolute, as are
        `scratch_dir` and the folder of a `Checkpoint`. Those within a dataset or a
        query must be absolute.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks), str or list of str
        Labels, or for a source the columns that hold them.
    scaling_config : ray.train.ScalingConfig
        How many workers there are, and what each of them has:
        ``ScalingConfig(num_workers=8)``. With ``use_gpu=True`` set the ranker's
        ``device="cuda"``. If this process has no GPU, skorch loads the fitted network
        onto the CPU, and warns.
    run_config : ray.train.RunConfig or None, default=None
        Where Ray keeps its own files, and how often it restarts failed workers:
        ``RunConfig(failure_config=FailureConfig(max_failures=3))``. With a
        :class:`skmtl.Checkpoint` among the ranker's callbacks the fit is then resumed.
    **fit_params : dict
        Further arguments of `fit`, by name, such as ``sample_weight`` and ``X_val``.

    Returns
    -------
    estimator
        The ranker. Its hyperparameters, such as callbacks, are the objects that it had;
        what callbacks recorded stays in the workers.

    Raises
    ------
    ImportError
        If Ray Train is not installed.
    ray.train.TrainingFailedError
        If a worker fails. It shows the worker's own error.

    See Also
    --------
    skmtl.Checkpoint : Resumes a fit that was interrupted.

    Examples
    --------
    >>> from ray.train import ScalingConfig  # doctest: +SKIP
    >>> from skmtl import MMoE
    >>> from skmtl.distributed import fit_on_ray
    >>> ranker = MMoE(categorical_features=["user", "item"], batch_size=8192)
    >>> fit_on_ray(
    ...     ranker,
    ...     "s3://bucket/log/*.parquet",
    ...     y=["click", "order"],
    ...     scaling_config=ScalingConfig(num_workers=8),
    ... )  # doctest: +SKIP
    MMoE(...)
    """
    ray = import_extra("ray", "ray", "fit_on_ray")
    of_torch = import_extra("ray.train.torch", "ray", "fit_on_ray")
    if "X_val" in fit_params:
        fit_params["X_val"] = _absolute_source(fit_params["X_val"])
    sent = _with_absolute_folders(ranker)
    # From the object store every node takes it once.
    given = ray.put((sent, _absolute_source(X), y, fit_params))

    def train() -> dict[str, object]:
        # Its own names: a closure over the table would be pickled for each worker.
        ranker, X, y, fit_params = ray.get(given)
        return _fitted(ranker.fit(X, y, **fit_params))

    trainer = of_torch.TorchTrainer(
        train, scaling_config=scaling_config, run_config=run_config
    )
    # What the first worker returns. Hyperparameters stay the caller's own objects.
    vars(ranker).update(trainer.fit().return_value)
    return ranker


def _fitted(ranker: BaseEstimator) -> dict[str, object]:
    """The attributes of a ranker without its hyperparameters."""
    given = ranker.get_params(deep=False)
    return {name: value for name, value in vars(ranker).items() if name not in given}


def _absolute_source(X: object) -> object:
    """Make the paths of a source absolute if files of this machine match them."""
    if isinstance(X, str | os.PathLike):
        path = os.fspath(X)
        # A URL such as s3:// does not exist here and stays as it is.
        return os.path.abspath(path) if glob(path) or os.path.exists(path) else X
    if isinstance(X, list | tuple) and is_source(X):
        return [_absolute_source(path) for path in X]
    return X


def _with_absolute_folders(ranker: Ranker) -> Ranker:
    """A copy of the ranker whose folders are absolute paths."""
    check_callbacks(ranker.callbacks)
    sent = copy(ranker)
    if sent.scratch_dir is not None:
        sent.scratch_dir = os.path.abspath(sent.scratch_dir)
    if sent.callbacks:
        sent.callbacks = [_with_absolute_folder(entry) for entry in sent.callbacks]
    return sent


def _with_absolute_folder(entry: Entry) -> Entry:
    name, callback = entry if isinstance(entry, tuple) else ("", entry)
    if not isinstance(callback, Checkpoint):
        return entry
    sent = copy(callback)
    sent.path = os.path.abspath(sent.path)
    return (name, sent) if isinstance(entry, tuple) else sent
