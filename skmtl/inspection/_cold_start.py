"""AUC of ids that training has seen often, rarely or never."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skmtl._containers import check_same_length, n_rows_of
from skmtl._messages import shown
from skmtl._typing import LabelsLike, TableLike
from skmtl.encoding import TableEncoder
from skmtl.metrics import roc_auc
from skmtl.metrics._mixed import binary_part, kinds_of
from skmtl.metrics._one_task import auc_interval
from skmtl.metrics._validation import Labels, check_labels, column_names


def cold_start_report(
    ranker: BaseEstimator,
    X: TableLike,
    y: LabelsLike,
    *,
    columns: str | Sequence[Any] | None = None,
    often: int = 10,
    level: float = 0.95,
) -> pd.DataFrame:
    """ROC AUC of each task on rows whose ids were seen often, rarely or never.

    Parameters
    ----------
    ranker : MultiTaskRanker
        A fitted ranker.
    X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
        A table of new rows.
    y : array-like or DataFrame of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed. Tasks of the ranker that are not binary
        are left out of the report, with a warning.
    columns : column name or sequence of them, default=None
        Id columns to report on. None selects all columns with a vocabulary; ids of
        hashed columns are not counted. Columns in `bias_features` are not read when
        ranking, and cannot be selected.
    often : int, default=10
        An id that occurs in at least this many training rows was seen often, otherwise
        rarely. Rows without any label, or with weight 0, are not training rows.
    level : float, default=0.95
        Confidence level of the intervals.

    Returns
    -------
    DataFrame
        One row per column, kind of id and task. Columns: ``column``; ``seen``, which is
        "often", "rarely", "never" or "missing" (empty cells, if there are any);
        ``task``; ``n_rows``; the observed ``n_labels`` and ``positives``; ``roc_auc``,
        NaN without both classes; and ``roc_auc_low`` and ``roc_auc_high``, the DeLong
        interval, NaN with fewer than two rows of a class.

    Raises
    ------
    ValueError
        If a column is not an id column or is hashed, if the ranker has no other
        columns, if `y` has other tasks, if `often` is below 1, or if `level` is not
        between 0 and 1.
    TypeError
        If `ranker` is not a ranker, for example a pipeline that contains one.

    See Also
    --------
    skmtl.TableEncoder.frequencies : Number of training rows of each id.

    Notes
    -----
    The kinds of ids of a column have different rows, which may be easier or harder to
    rank for other reasons. Compare rankers on the same kind.

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
            f"{type(ranker).__name__} is not a ranker. Pass the last step of a "
            "pipeline, pipeline[-1], and the table that the other steps produce, "
            "pipeline[:-1].transform(X)."
        )
    if not isinstance(often, Integral) or often < 1:
        raise ValueError(
            f"often must be an integer of at least 1, found {shown(often)}."
        )
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, found {shown(level)}.")
    encoder = ranker.encoder_
    chosen = _chosen(columns, encoder)
    kinds = kinds_of(ranker)
    check_same_length(X=n_rows_of(X), y=n_rows_of(y))
    if kinds is None:
        labels = _task_labels(y, [str(name) for name in ranker.task_names_])
        # A DataFrame under set_output; columns in the order of the tasks either way.
        proba = np.asarray(ranker.predict_task_proba(X))
    else:
        labels, proba = binary_part(ranker, X, y, kinds, "cold_start_report")
    frequencies = encoder.frequencies(X, read_optional=False)
    rows: list[dict[str, object]] = []
    for name in chosen:
        seen = frequencies[:, encoder.categorical_names_.index(name)]
        for kind, mask in _kinds(seen, often).items():
            common = {"column": name, "seen": kind}
            rows += _task_rows(labels, proba, mask, level, common)
    return pd.DataFrame(rows)


def _chosen(columns: str | Sequence[Any] | None, encoder: TableEncoder) -> list[Any]:
    """Columns to report on, checked."""
    known, unread = list(encoder.categorical_names_), set(encoder.optional_names_)
    places = encoder.vocabulary_places_
    # Also a column that shares the rows of a hashed one.
    hashed = {name for name in known if encoder._is_hashed(places[name])}
    if columns is None:
        columns = [name for name in known if name not in hashed | unread]
        if not columns:
            raise ValueError("The ranker has no id columns with a vocabulary.")
    if isinstance(columns, str):
        columns = [columns]
    for name in columns:
        what = f"is not an id column of the ranker; those are {known}"
        if name in unread:
            what = "is one of bias_features, which are not read when ranking"
        elif name in hashed:
            what = "is hashed, so it is not known how often its ids were seen"
        elif name in known:
            continue
        raise ValueError(f"Column {shown(name)} {what}.")
    return list(columns)


def _task_labels(y: LabelsLike, names: list[str]) -> Labels:
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
    """Rows of each kind; missing cells only if there are any."""
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
    level: float,
    common: dict[str, object],
) -> list[dict[str, object]]:
    """Counts and AUC of each task on the rows of a mask."""
    found = []
    for task, name in enumerate(labels.names):
        rows = mask.copy()
        if labels.observed is not None:
            rows &= labels.observed[task]
        positive = labels.positive[task, rows]
        score = proba[rows, task]
        # Few rows of a kind often have labels of one class, of which `roc_auc` would
        # warn.
        both = 0 < positive.sum() < len(positive)
        low, high = auc_interval(positive, score, level)
        found.append(
            {
                **common,
                "task": name,
                "n_rows": int(mask.sum()),
                "n_labels": len(positive),
                "positives": int(positive.sum()),
                "roc_auc": roc_auc(positive, score) if both else np.nan,
                "roc_auc_low": low,
                "roc_auc_high": high,
            }
        )
    return found
