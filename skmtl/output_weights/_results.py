"""The table of results, the Pareto set, and intervals."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.exceptions import UndefinedMetricWarning

from skmtl.metrics._gains import Term, term_name
from skmtl.metrics._task_scorer import TaskScorer
from skmtl.output_weights._fusion import weighted_sum
from skmtl.output_weights._objective import Fold, FoldObjective, fold_mean


def results_table(
    points: np.ndarray,
    terms: Sequence[Term],
    scores: np.ndarray,
    metrics: Sequence[str],
    times: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Make `cv_results_` of points ``(n, n_tasks)`` and their scores.

    Scores have shape ``(n, n_folds, n_metrics)``. `times` holds the seconds of each
    fold, which all candidates share.
    """
    table: dict[str, Any] = {}
    for name, seconds in times.items():
        table[f"mean_{name}"] = np.full(len(points), seconds.mean())
        table[f"std_{name}"] = np.full(len(points), seconds.std())
    for term, column in zip(terms, points.T, strict=True):
        table[f"param_{term_name(term)}"] = np.ma.MaskedArray(column.copy(), mask=False)
    table["params"] = [as_params(point, terms) for point in points]
    for m, metric in enumerate(metrics):
        values = scores[:, :, m]
        for fold in range(values.shape[1]):
            table[f"split{fold}_test_{metric}"] = values[:, fold].copy()
        mean = fold_mean(values)
        table[f"mean_test_{metric}"] = mean
        gap = values - mean[:, None]
        table[f"std_test_{metric}"] = np.sqrt(fold_mean(gap**2))
        # Candidates without a score rank last.
        low = np.where(np.isnan(mean), -np.inf, mean)
        table[f"rank_test_{metric}"] = rankdata(-low, method="min").astype(np.int32)
    return table


def as_params(point: np.ndarray, terms: Sequence[Term]) -> dict[Term, float]:
    return {term: float(w) for term, w in zip(terms, point, strict=True)}


def resampled(
    folds: Sequence[Fold],
    contenders: np.ndarray,
    scorer: Mapping[str, TaskScorer],
    n_resamples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Compute means over folds on resamples, ``(n_resamples, n_contenders)``.

    All contenders are judged on the same drawn rows; a metric with groups draws groups.
    """
    name = next(iter(scorer))
    scores = [np.array([weighted_sum(f.columns, w) for w in contenders]) for f in folds]
    out = np.empty((n_resamples, len(contenders)))
    # Fused scores take the place of the columns; a unit vector picks one of them.
    unit = np.eye(len(contenders))
    for draw in range(n_resamples):
        values = []
        for fold, table in zip(folds, scores, strict=True):
            rows, groups = _draw(fold, name, rng)
            part = replace(fold, columns=table).take(rows)
            if groups is not None:
                metadata = {name: {**part.metadata[name], "groups": groups}}
                part = replace(part, metadata=metadata)
            with warnings.catch_warnings():  # a draw may hold one class only: NaN
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                objective = FoldObjective(part, scorer)
                values.append([objective(one)[0] for one in unit])
        out[draw] = fold_mean(np.array(values).T)
    return out


def intervals_table(
    value: np.ndarray, drawn: np.ndarray, terms: Sequence[Term], level: float
) -> pd.DataFrame:
    """Make the table of `bootstrap_intervals`.

    Parameters
    ----------
    value : ndarray of shape (n_contenders,)
        Scores of the best weights, of equal ones, and of each single term.
    drawn : ndarray of shape (n_resamples, n_contenders)
        The same on resamples.
    terms : sequence of str or tuple of str
        The terms.
    level : float
        Confidence level.
    """
    single = 2 + int(np.argmax(value[2:]))
    rows = {"best": (value[0], drawn[:, 0])}
    others = {"best single task": single, "equal weights": 1}
    others |= {term_name(term): 2 + t for t, term in enumerate(terms)}
    for name, other in others.items():
        margin = drawn[:, 0] - drawn[:, other]
        rows[f"best - {name}"] = (value[0] - value[other], margin)
    ends = [(1 - level) / 2, (1 + level) / 2]
    table = [[v, *np.nanquantile(d, ends)] for v, d in rows.values()]
    return pd.DataFrame(table, index=list(rows), columns=["value", "low", "high"])


def _draw(
    fold: Fold, name: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw rows with replacement, or groups; a group drawn twice counts as two."""
    codes = fold.group_codes(name)
    if codes is None:
        return rng.integers(len(fold.labels), size=len(fold.labels)), None
    _, unit = np.unique(codes, return_inverse=True)
    order = np.argsort(unit, kind="stable")
    sizes = np.bincount(unit)
    starts = np.cumsum(sizes) - sizes
    drawn = rng.integers(len(sizes), size=len(sizes))
    new = np.repeat(np.arange(len(drawn)), sizes[drawn])
    inside = np.arange(len(new)) - np.repeat(
        np.cumsum(sizes[drawn]) - sizes[drawn], sizes[drawn]
    )
    return order[np.repeat(starts[drawn], sizes[drawn]) + inside], new
