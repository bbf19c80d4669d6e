"""How well are ids ranked that training has seen often, rarely or never?"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skmtl.metrics import roc_auc
from skmtl.metrics._labels import Labels, check_labels, column_names


def cold_start_report(
    ranker: Any,
    X: Any,
    y: Any,
    *,
    columns: str | Sequence[Any] | None = None,
    often: int = 10,
) -> pd.DataFrame:
    """ROC AUC of each task on rows whose ids were seen often, rarely or never.

    Parameters
    ----------
    ranker : MultiTaskRanker
        A fitted ranker.
    X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
        A table of new rows.
    y : array-like or DataFrame of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed.
    columns : column name or sequence of them, default=None
        Id columns to report on. None for all that have a vocabulary; the ids of hashed
        columns are not counted.
    often : int, default=10
        An id on at least so many training rows was seen often, on fewer rarely. Rows
        without any label, or of weight 0, are no training rows.

    Returns
    -------
    DataFrame
        A row for each column, kind of id and task. Columns: ``column``; ``seen``,
        "often", "rarely", "never" or "missing" (the cell is empty; only where some
        are); ``task``; ``n_rows``; ``n_labels`` and ``positives``, those observed; and
        ``roc_auc``, NaN without both classes.

    Raises
    ------
    ValueError
        For columns that hold no ids or are hashed, a ranker without any others, labels
        of other tasks, and `often` below 1.
    TypeError
        For what is no ranker, such as a pipeline that holds one.

    See Also
    --------
    skmtl.TableEncoder.frequencies : On how many training rows each id was seen.

    Notes
    -----
    The numbers of a column's kinds speak of different rows, which may be easier or
    harder to rank whatever training has seen. Compare rankers on the same kind.

    Examples
    --------
    >>> from skmtl import MMoE
    >>> from skmtl.datasets import make_funnel
    >>> from skmtl.inspection import cold_start_report
    >>> log = make_funnel(4000, n_items=300, new_item_share=0.2, random_state=0)
    >>> X, y = log.data, log.target[["click"]]
    >>> ranker = MMoE(max_iter=1, random_state=0).fit(X[:3400], y[:3400])
    >>> report = cold_start_report(ranker, X[3400:], y[3400:], columns=["item_id"])
    >>> report[["column", "seen", "task", "n_rows", "positives"]]
        column    seen   task  n_rows  positives
    0  item_id   often  click     313         33
    1  item_id  rarely  click      94          9
    2  item_id   never  click     193         22
    """
    check_is_fitted(ranker)
    if not hasattr(ranker, "encoder_"):
        raise TypeError(
            f"{type(ranker).__name__} is no ranker. Of a pipeline give the last step, "
            "pipeline[-1], and the table that the others make, "
            "pipeline[:-1].transform(X)."
        )
    if not isinstance(often, Integral) or often < 1:
        raise ValueError(f"often must be an integer of at least 1, found {often!r}.")
    encoder = ranker.encoder_
    chosen = _chosen(columns, encoder)
    labels = _task_labels(y, [str(name) for name in ranker.task_names_])
    check_consistent_length(X, labels.positive[0])
    # A DataFrame under set_output; columns in the order of the tasks either way.
    proba = np.asarray(ranker.predict_task_proba(X))
    frequencies = encoder.frequencies(X)
    rows: list[dict[str, Any]] = []
    for name in chosen:
        seen = frequencies[:, encoder.categorical_names_.index(name)]
        for kind, mask in _kinds(seen, often).items():
            rows += _task_rows(labels, proba, mask, {"column": name, "seen": kind})
    return pd.DataFrame(rows)


def _chosen(columns: str | Sequence[Any] | None, encoder: Any) -> list[Any]:
    """Columns to report on, checked."""
    known, hashed = encoder.categorical_names_, set(encoder.n_buckets or {})
    if columns is None:
        columns = [name for name in known if name not in hashed]
        if not columns:
            raise ValueError("The ranker has no id columns with a vocabulary.")
    if isinstance(columns, str):
        columns = [columns]
    for name in columns:
        if name not in known or name in hashed:
            what = (
                "is hashed" if name in hashed else "is not an id column of the ranker"
            )
            raise ValueError(
                f"Column {name!r} {what}, so nothing is known of how often its ids "
                f"were seen. The id columns are {list(known)}."
            )
    return list(columns)


def _task_labels(y: Any, names: list[str]) -> Labels:
    """Labels in the order of the ranker's tasks."""
    found = column_names(y)
    if found is not None and sorted(found) != sorted(names):
        raise ValueError(
            f"y has the tasks {found}, but the ranker was fitted on {names}."
        )
    return check_labels(y, names)


def _kinds(
    frequency: npt.NDArray[np.int64], often: int
) -> dict[str, npt.NDArray[np.bool_]]:
    """Rows of each kind; missing cells only where there are some."""
    kinds = {
        "often": frequency >= often,
        "rarely": (frequency > 0) & (frequency < often),
        "never": frequency == 0,
    }
    missing = frequency < 0
    return kinds | {"missing": missing} if missing.any() else kinds


def _task_rows(
    labels: Labels,
    proba: npt.NDArray[np.float64],
    mask: npt.NDArray[np.bool_],
    common: dict[str, Any],
) -> list[dict[str, Any]]:
    """Numbers and AUC of each task on the rows of a mask."""
    found = []
    for task, name in enumerate(labels.names):
        rows = mask.copy()
        if labels.observed is not None:
            rows &= labels.observed[task]
        positive = labels.positive[task, rows]
        both = 0 < positive.sum() < len(positive)
        found.append(
            {
                **common,
                "task": name,
                "n_rows": int(mask.sum()),
                "n_labels": len(positive),
                "positives": int(positive.sum()),
                "roc_auc": roc_auc(positive, proba[rows, task]) if both else np.nan,
            }
        )
    return found
