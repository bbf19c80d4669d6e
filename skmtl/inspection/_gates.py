"""Gate weights of a fitted ranker, and similarity of its experts."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from skmtl._containers import n_rows_of, with_rows
from skmtl._messages import shown
from skmtl._sklearn import rows_of
from skmtl._typing import RandomStateLike, TableLike


class GateWarning(UserWarning):
    """A gate has collapsed on one expert, or an expert is dead.

    Examples
    --------
    >>> import warnings
    >>> from skmtl.inspection import GateWarning
    >>> warnings.simplefilter("error", GateWarning)
    """


def gate_report(
    ranker: BaseEstimator,
    X: TableLike,
    *,
    collapsed_above: float = 0.95,
    dead_below: float = 0.01,
) -> pd.DataFrame:
    """Report how the gate of each task uses the experts.

    Collapsed gates and dead experts trigger a warning.

    Parameters
    ----------
    ranker : GatedRanker
        A fitted ranker with gates, such as `MMoE` and `PLE`.
    X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
        Rows to evaluate the ranker on.
    collapsed_above : float, default=0.95
        A gate has collapsed if one of several experts has a larger mean weight.
    dead_below : float, default=0.01
        An expert is dead if its mean weight is smaller in every gate.

    Returns
    -------
    DataFrame of shape (n_gate_expert_pairs, 7)
        One row per task and expert that the gate of the task reads. Columns:

        task, expert : str
            Their names.
        weight : float
            Mean weight over the rows, from 0 to 1.
        weight_std : float
            Its standard deviation over the rows: 0 if the gate treats all rows alike.
        top_share : float
            Share of rows in which this expert has the largest weight.
        entropy : float
            Mean entropy of the gate over the rows, relative to the maximum: 1 if all
            experts have the same weight, 0 if one expert has all of it.
        active : bool
            Whether the output of the expert is nonzero on some row.

    Raises
    ------
    TypeError
        If the ranker has no gates.
    ValueError
        If a bound is outside [0, 1].

    Warns
    -----
    GateWarning
        If a gate has collapsed, or if experts are dead; it names them.

    See Also
    --------
    expert_similarity : Whether experts have learned the same.
    skmtl.MMoE.gate_weights : Weights of every row.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MMoE
    >>> from skmtl.inspection import gate_report
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = MMoE(n_experts=2, random_state=0).fit(X, y)
    >>> report = gate_report(ranker, X)
    >>> report[["task", "expert"]].to_numpy().tolist()
    [['0', '0'], ['0', '1'], ['1', '0'], ['1', '1']]
    >>> float(report.groupby("task")["weight"].sum().round(5).max())
    1.0
    """
    _check_gated(ranker)
    for name, bound in (
        ("collapsed_above", collapsed_above),
        ("dead_below", dead_below),
    ):
        if not 0 <= bound <= 1:
            raise ValueError(
                f"{name} must be in [0, 1], like gate weights; got {shown(bound)}."
            )
    # Means and deviations of many rows need more than float32.
    weights = ranker.gate_weights(X).astype(np.float64)
    # The gates of PLE read some experts only. Others have a weight of 0, but are not
    # dead.
    reads = ranker._reads()
    active = ranker.expert_outputs(X).any(axis=(0, 2))
    top = weights.argmax(axis=2)
    rows = []
    for t, task in enumerate(ranker.task_names_):
        entropy = _entropy(weights[:, t], int(reads[t].sum()))
        rows += [
            {
                "task": str(task),
                "expert": str(ranker.expert_names_[e]),
                "weight": weights[:, t, e].mean(),
                "weight_std": weights[:, t, e].std(),
                "top_share": float((top[:, t] == e).mean()),
                "entropy": entropy,
                "active": bool(active[e]),
            }
            for e in np.flatnonzero(reads[t])
        ]
    report = pd.DataFrame(rows)
    _warn_of_collapse(report, collapsed_above)
    _warn_of_dead(report, dead_below)
    return report


def expert_similarity(
    ranker: BaseEstimator,
    X: TableLike,
    *,
    max_rows: int = 10_000,
    random_state: RandomStateLike = 0,
) -> pd.DataFrame:
    """Compute the similarity of the outputs of each pair of experts by linear CKA.

    The centred kernel alignment is 1 if outputs are equal up to a rotation and a scale,
    and 0 if they are linearly unrelated.

    Parameters
    ----------
    ranker : GatedRanker
        A fitted ranker with gates, such as `MMoE` and `PLE`.
    X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
        Rows to evaluate the ranker on.
    max_rows : int, default=10_000
        If there are more rows, this many are drawn.
    random_state : int, RandomState instance or None, default=0
        Seed of the draw.

    Returns
    -------
    DataFrame of shape (n_experts, n_experts)
        Index and columns are the names of the experts. NaN if the output of an expert
        is the same for all rows.

    Raises
    ------
    TypeError
        If the ranker has no gates.

    References
    ----------
    .. [1] S. Kornblith et al., "Similarity of Neural Network Representations
           Revisited", ICML 2019, section 3, linear CKA.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MMoE
    >>> from skmtl.inspection import expert_similarity
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = MMoE(n_experts=3, random_state=0).fit(X, y)
    >>> expert_similarity(ranker, X).shape
    (3, 3)
    """
    _check_gated(ranker)
    X = with_rows(X)
    if (n_rows := n_rows_of(X)) > max_rows:
        rng = check_random_state(random_state)
        X = rows_of(X, np.sort(rng.choice(n_rows, max_rows, replace=False)))
    names = ranker.expert_names_
    return pd.DataFrame(_linear_cka(ranker.expert_outputs(X)), names, names)


def _linear_cka(outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """CKA of every pair of experts for outputs ``(n_samples, n_experts, width)``."""
    n, n_experts, width = outputs.shape
    centred = outputs.astype(np.float64) - outputs.mean(axis=0, dtype=np.float64)
    flat = centred.reshape(n, -1)
    # Products of columns, of one matrix for all pairs, instead of one kernel of
    # (n_samples, n_samples) for each expert: the norms are the same.
    blocks = (flat.T @ flat).reshape(n_experts, width, n_experts, width)
    alignment = (blocks**2).sum(axis=(1, 3))
    norm = np.sqrt(np.diag(alignment))
    norm[norm == 0] = np.nan
    return alignment / np.outer(norm, norm)


def _entropy(weights: npt.NDArray[np.float64], n_read: int) -> float:
    # The maximum, log(1), would be 0.
    if n_read == 1:
        return 0.0
    # 0 log 0 is 0.
    log = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    return float(-(weights * log).sum(axis=1).mean() / np.log(n_read))


def _check_gated(ranker: BaseEstimator) -> None:
    if not hasattr(ranker, "gate_weights"):
        raise TypeError(
            f"{type(ranker).__name__} has no gates. Pass a ranker with gates, such as "
            "MMoE or PLE."
        )


def _warn_of_collapse(report: pd.DataFrame, above: float) -> None:
    n_read = report.groupby("task")["expert"].transform("size")
    for row in report[(n_read > 1) & (report["weight"] > above)].itertuples():
        warnings.warn(
            f"The gate of task {row.task!r} has collapsed: expert {row.expert!r} has "
            f"{row.weight:.1%} of the weight. Try a smaller learning_rate, or fewer "
            "experts.",
            GateWarning,
            stacklevel=3,
        )


def _warn_of_dead(report: pd.DataFrame, below: float) -> None:
    experts = report.groupby("expert", sort=False)
    largest, active = experts["weight"].max(), experts["active"].any()
    dead = largest.index[(largest < below) | ~active].tolist()
    if dead:
        warnings.warn(
            f"The experts {dead} are dead: no gate gives them {below:.1%} of the "
            "weight, or their output is zero for every row. Try a smaller "
            "learning_rate, or fewer experts.",
            GateWarning,
            stacklevel=3,
        )
