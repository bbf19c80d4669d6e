"""ShareBottom: one bottom, a tower per task."""

from __future__ import annotations

from typing import Any, ClassVar

from skmtl.modules import ParallelTowers, SharedBottom
from skmtl.rankers._base import MultiTaskRanker
from skmtl.rankers._docs import shared_parameters
from skmtl.rankers._widths import check_units


@shared_parameters
class ShareBottom(MultiTaskRanker):
    """Tasks share dense layers; each has a tower of its own.

    Embeddings and numbers go through the same dense layers for all tasks, then
    through a small tower for each.

    Parameters
    ----------
    bottom_units : sequence of int, default=(256, 128)
        Widths of the shared layers.
    tower_units : sequence of int, default=(64,)
        Widths of the hidden layers of each tower.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    MMoE : Tasks share experts, and each mixes them by a gate.
    ChainedMMoE : MMoE in which a task's tower reads that of the task before.

    References
    ----------
    R. Caruana, "Multitask Learning", Machine Learning 28, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import ShareBottom
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = ShareBottom(random_state=0).fit(X, y)
    >>> ranker.predict_task_proba(X).shape
    (1000, 2)
    >>> ranker.score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MultiTaskRanker._parameter_constraints,
        "bottom_units": ["array-like"],
    }

    def __init__(
        self,
        *,
        bottom_units: Any = (256, 128),
        tower_units: Any = (64,),
        embedding_dim: int = 16,
        bin_dim: int = 8,
        dropout: float = 0.0,
        label_weight: Any = None,
        loss_weight: Any = None,
        max_iter: int = 4,
        batch_size: int | str = "auto",
        learning_rate: float = 5e-3,
        learning_rate_schedule: Any = "cosine",
        weight_decay: float = 0.0,
        optimizer: str = "adam",
        embedding_optimizer: str = "lazy_adam",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: Any = None,
        n_iter_no_change: int = 3,
        tol: float = 0.0,
        categorical_features: Any = "from_dtype",
        min_frequency: int = 2,
        max_categories: int | None = None,
        n_bins: int = 64,
        warm_start: bool = False,
        device: str = "cpu",
        callbacks: list[Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.bottom_units = bottom_units
        self.tower_units = tower_units
        self.embedding_dim = embedding_dim
        self.bin_dim = bin_dim
        self.dropout = dropout
        self.label_weight = label_weight
        self.loss_weight = loss_weight
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.embedding_optimizer = embedding_optimizer
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.categorical_features = categorical_features
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.n_bins = n_bins
        self.warm_start = warm_start
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def _check_tasks(self, names: list[str]) -> None:
        check_units(self.bottom_units, "bottom_units")
        check_units(self.tower_units, "tower_units")

    def _make_parts(self, width: int, names: list[str]) -> tuple[Any, Any]:
        sharing = SharedBottom(
            n_tasks=len(names),
            width=width,
            units=check_units(self.bottom_units, "bottom_units"),
            dropout=self.dropout,
        )
        towers = ParallelTowers(
            n_tasks=len(names),
            width=sharing.width,
            units=check_units(self.tower_units, "tower_units"),
            dropout=self.dropout,
        )
        return sharing, towers
