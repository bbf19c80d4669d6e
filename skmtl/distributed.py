"""Fits in the workers of a cluster. Only what starts them is here.

What several processes of one fit say to each other is in ``training/processes.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from skmtl._extras import import_extra
from skmtl._typing import LabelsLike, TableLike
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

    Ray starts the workers and their process group. Each of them takes its rows of every
    batch, and what they come to is what ``ranker.fit`` comes to in one process, up to
    rounding. The extra ``ray`` installs what this needs.

    Parameters
    ----------
    ranker : estimator
        The ranker. It is fitted when this returns, as after ``ranker.fit``.
    X : table or source
        Of shape (n_samples, n_features), as `fit` takes it. A table in memory is sent
        to every node once. The files of a source are opened by the workers, so that
        their paths must mean the same on every node.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks), str or list of str
        Labels, or for a source the columns that hold them.
    scaling_config : ray.train.ScalingConfig
        How many workers there are, and what each of them has:
        ``ScalingConfig(num_workers=8)``. With ``use_gpu=True`` set the ranker's
        ``device="cuda"``.
    run_config : ray.train.RunConfig or None, default=None
        Where Ray keeps its own files, and how often it starts failed workers again:
        ``RunConfig(failure_config=FailureConfig(max_failures=3))``. With a
        :class:`skmtl.Checkpoint` among the ranker's callbacks the fit is then resumed.
    **fit_params : dict
        Further arguments of `fit`, by name, such as ``sample_weight`` and ``X_val``.

    Returns
    -------
    estimator
        The ranker.

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
    # From the object store every node takes it once.
    given = ray.put((ranker, X, y, fit_params))

    def train() -> dict[str, object]:
        ranker, X, y, fit_params = ray.get(given)
        return vars(ranker.fit(X, y, **fit_params))

    trainer = of_torch.TorchTrainer(
        train, scaling_config=scaling_config, run_config=run_config
    )
    # What the first worker returns.
    vars(ranker).update(trainer.fit().return_value)
    return ranker
