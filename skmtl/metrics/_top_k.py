"""Rank metrics of the first places of each group."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from inspect import cleandoc
from typing import Any, TypeVar

import numpy as np

from skmtl.metrics._gains import (
    Gains,
    Numbers,
    expected_gain,
    gain_of_rows,
    labels_or_numbers,
    read_gains,
)
from skmtl.metrics._group_roc_auc import Coverage, check_group_weights, group_mean
from skmtl.metrics._ranking import Ranking
from skmtl.metrics._validation import (
    Labels,
    as_float_table,
    check_count,
    check_groups,
    check_scores,
    column_names,
    column_of,
    in_order_of_tasks,
    require_positive,
    warn_undefined,
)


@dataclass(frozen=True)
class Relevance:
    """Gains of the observed rows, their groups, and how many places count."""

    gain: np.ndarray
    codes: np.ndarray
    k: int | None

    @cached_property
    def best(self) -> Ranking:
        """The best order of each group; groups come in the order of any ranking."""
        return Ranking.of(self.gain, self.codes)

    @cached_property
    def clicks(self) -> np.ndarray:
        """Positive rows of each group."""
        return self.best.totals((self.gain > 0).astype(np.float64))

    @cached_property
    def places(self) -> int:
        longest = int(self.best.group_sizes.max())
        return longest if self.k is None else min(self.k, longest)

    @cached_property
    def discount(self) -> np.ndarray:
        return 1.0 / np.log2(np.arange(2, 2 + self.places))

    @cached_property
    def best_gained(self) -> np.ndarray:
        return self.best.gained(self.gain, self.discount)

    @cached_property
    def total(self) -> np.ndarray:
        return self.best.totals(self.gain)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; 0 where the whole is 0, in a group without positive rows, left out."""
    return part / np.where(whole > 0, whole, 1.0)


def _ndcg(ranking: Ranking, rows: Relevance) -> np.ndarray:
    return _ratio(ranking.gained(rows.gain, rows.discount), rows.best_gained)


def _precision(ranking: Ranking, rows: Relevance) -> np.ndarray:
    size = ranking.group_sizes if rows.k is None else np.asarray(rows.k)
    return ranking.gained(rows.gain, np.ones(rows.places)) / size


def _recall(ranking: Ranking, rows: Relevance) -> np.ndarray:
    return _ratio(ranking.gained(rows.gain, np.ones(rows.places)), rows.total)


def _hit_rate(ranking: Ranking, rows: Relevance) -> np.ndarray:
    return ranking.hit(rows.gain > 0, rows.places)


def _mrr(ranking: Ranking, rows: Relevance) -> np.ndarray:
    return ranking.reciprocal_rank(rows.gain > 0, rows.places)


# The value of each group that has a positive row.
GROUP_METRICS: dict[str, Callable[[Ranking, Relevance], np.ndarray]] = {
    "ndcg": _ndcg,
    "precision_at_k": _precision,
    "recall_at_k": _recall,
    "hit_rate_at_k": _hit_rate,
    "mrr_at_k": _mrr,
}


def check_gains(gains: object, labels: Labels) -> np.ndarray | None:
    """Return gains ``(n_tasks,)`` in the order of the tasks."""
    if gains is None:
        return None
    of_tasks = {
        tasks[0]: gain for tasks, gain in read_gains(gains, labels.names).items()
    }
    return np.array([of_tasks.get(name, 0.0) for name in labels.names])


def prepare_top_k(
    metric: str,
    labels: Labels | Numbers,
    groups: object,
    *,
    k: int | None = None,
    gains: Gains = None,
    weights: str = "equal",
) -> Callable[[object], tuple[np.ndarray, Coverage]]:
    """Return a function from scores to values and coverage.

    Values have shape ``(n_tasks,)``, with gains ``(1,)``. What depends on the labels
    alone, such as the best order, is computed once.
    """
    if k is not None:
        check_count(k, "k", 1)
    check_group_weights(weights)
    if isinstance(labels, Numbers):
        return _prepare_gained(metric, labels, groups, k, gains, weights)
    gain = check_gains(gains, labels)
    codes = check_groups(groups, len(labels))
    if gain is None:
        names = labels.names
        relevance = [(labels.positive[t], labels.rows(t)) for t in range(len(names))]
    else:
        names = ["+".join(labels.names)]
        relevance = [(gain @ labels.positive, labels.all_observed(gain > 0))]
    parts = [
        (rows, Relevance(values[rows].astype(np.float64), codes[rows], k))
        for values, rows in relevance
    ]

    def values(score: object) -> tuple[np.ndarray, Coverage]:
        table = check_scores(score, labels)
        if gain is not None and table.ndim == 2:
            # The expected gain of each row.
            table = table @ gain
        results = [
            _mean(metric, part, column_of(table, task)[rows], weights)
            for task, (rows, part) in enumerate(parts)
        ]
        mean = np.concatenate([value for value, _ in results])
        covered, rows_covered = zip(*(share for _, share in results), strict=True)
        warn_undefined(metric, mean, names, "no group has a positive label")
        return mean, Coverage(np.concatenate(covered), np.concatenate(rows_covered))

    return values


def _prepare_gained(
    metric: str,
    numbers: Numbers,
    groups: object,
    k: int | None,
    gains: object,
    weights: str,
) -> Callable[[object], tuple[np.ndarray, Coverage]]:
    """Do what `prepare_top_k` does, for gains that are numbers."""
    gain, known = gain_of_rows(numbers, gains)
    codes = check_groups(groups, len(numbers))
    relevance = Relevance(gain[known], codes[known], k)
    name = "+".join(" * ".join(tasks) for tasks in read_gains(gains, numbers.names))

    def values(score: object) -> tuple[np.ndarray, Coverage]:
        fused = as_float_table(score, "score").astype(np.float64, copy=False)
        if len(fused) != len(known):
            raise ValueError(f"score has {len(fused)} rows, but y has {len(known)}.")
        if fused.ndim == 2 and fused.shape[1] == 1 and len(numbers.names) > 1:
            fused = fused[:, 0]
        if fused.ndim == 2:
            fused = in_order_of_tasks(
                fused, column_names(score), numbers.names, "score"
            )
            fused = expected_gain(fused, numbers.names, gains)
        if not np.isfinite(fused[known]).all():
            raise ValueError(f"The scores of {name} must be finite.")
        mean, covered = _mean(metric, relevance, fused[known], weights)
        warn_undefined(metric, mean, [name], "no group has a positive gain")
        return mean, covered

    return values


def _mean(
    metric: str, rows: Relevance, score: np.ndarray, weights: str
) -> tuple[np.ndarray, Coverage]:
    if not len(score):
        return np.full(1, np.nan), Coverage(np.zeros(1), np.zeros(1))
    ranking = Ranking.of(score, rows.codes)
    # No order of a group without a positive row is better than another.
    values = np.where(rows.clicks > 0, GROUP_METRICS[metric](ranking, rows), np.nan)
    return group_mean(
        values[:, None], ranking.group_sizes[:, None], rows.clicks[:, None], weights
    )


SHARED = {
    "{before_k}": """
y : array-like of shape (n_samples,) or (n_samples, n_tasks)
    Labels: 1, 0, or NaN for not observed. Rows whose label is NaN are left out
    before they are ranked, for each task separately.
score : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
    Scores, as in :func:`roc_auc`. A table of scores together with `gains` is
    fused into the expected gain, the sum of gain times score.
groups : array-like of shape (n_samples,)
    Group id of each row, most often the user or the request.
""",
    "{after_k}": """
gains : mapping or sequence of float, default=None
    Gain of a positive label of each task, by task name or in the order of the
    tasks, such as ``{"click": 1, "cart": 3, "order": 10}``. The gain of a row is
    the sum over its positive labels.
    Labels may then also be other numbers of at least 0, which are multiplied by the
    gain, and a key of a mapping may be a tuple of tasks, whose labels are multiplied:
    ``{("order", "revenue"): 1}`` is the revenue of a row, 0 without an order.
    Tasks that are not named have a gain of zero. A row with a NaN label of a task
    with a gain is left out. None: each task separately, with a gain of 1.
weights : {"equal", "impressions", "clicks"}, default="equal"
    Weight of a group in the mean: 1, its rows with a label, or its positive rows.
return_coverage : bool, default=False
    Also return the share of groups and of rows that the mean covers.

Returns
-------
value : float or ndarray of shape (n_tasks,)
    Mean over the groups with a positive row; a float if `y` is 1-D or with
    `gains`. NaN, with a warning, for a task without a positive row.
coverage : Coverage
    Shares of groups and of rows that enter the mean. Only if `return_coverage`.

Raises
------
ValueError
    If groups are missing or not one for each row, no task has a positive label, a
    task of `gains` is unknown, `k` is not positive, or a score is not finite.
""",
    "{notes}": """
Notes
-----
Rows of equal score share their places: the value is the mean over all orders of
the tied rows. Groups without a positive row are left out.
""",
}

Function = TypeVar("Function", bound=Callable[..., object])


def _fill_in(function: Function) -> Function:
    """Insert the text that all rank metrics share into a docstring."""
    doc = cleandoc(function.__doc__ or "")
    for place, text in SHARED.items():
        doc = doc.replace(place, text.strip())
    function.__doc__ = doc
    return function


@_fill_in
def ndcg(
    y: object,
    score: object,
    groups: object,
    *,
    k: int | None = None,
    gains: Gains = None,
    weights: str = "equal",
    return_coverage: bool = False,
) -> Any:
    """Normalized discounted cumulative gain of each group, averaged.

    The gain of a row at place ``i = 1, 2, …`` of its group is divided by
    ``log2(i + 1)``; the sum is divided by that of the best possible order.

    Parameters
    ----------
    {before_k}
    k : int, default=None
        Number of first places that count; None for all.
    {after_k}

    See Also
    --------
    group_roc_auc : Quality of the whole ranking of each group.

    {notes}

    References
    ----------
    .. [1] K. Järvelin and J. Kekäläinen. Cumulated gain-based evaluation of IR
           techniques. ACM Transactions on Information Systems 20(4), 2002.

    Examples
    --------
    >>> from skmtl.metrics import ndcg
    >>> y = [[1, 0], [0, 0], [1, 1]]
    >>> users = [7, 7, 7]
    >>> round(ndcg(y, [0.9, 0.5, 0.1], users, gains=[1, 10]), 4)
    0.5589
    """
    return _grouped("ndcg", y, score, groups, k, gains, weights, return_coverage)


@_fill_in
def precision_at_k(
    y: object,
    score: object,
    groups: object,
    *,
    k: int | None = 10,
    gains: Gains = None,
    weights: str = "equal",
    return_coverage: bool = False,
) -> Any:
    """Share of positive rows among the first k places of each group, averaged.

    The sum of the gains of the first `k` rows, divided by `k`, also where a group has
    fewer rows; with ``k=None`` divided by the rows of the group.

    Parameters
    ----------
    {before_k}
    k : int, default=10
        Number of first places that count; None for all.
    {after_k}

    See Also
    --------
    recall_at_k : The share of the positive rows that is found.

    {notes}

    Examples
    --------
    >>> from skmtl.metrics import precision_at_k
    >>> precision_at_k([1, 0, 1, 0], [0.9, 0.8, 0.3, 0.1], ["u", "u", "u", "u"], k=2)
    0.5
    """
    return _grouped(
        "precision_at_k", y, score, groups, k, gains, weights, return_coverage
    )


@_fill_in
def recall_at_k(
    y: object,
    score: object,
    groups: object,
    *,
    k: int | None = 10,
    gains: Gains = None,
    weights: str = "equal",
    return_coverage: bool = False,
) -> Any:
    """Share of a group's positive rows that the first k places hold, averaged.

    The sum of the gains of the first `k` rows, divided by the sum over all rows of the
    group.

    Parameters
    ----------
    {before_k}
    k : int, default=10
        Number of first places that count; None for all.
    {after_k}

    See Also
    --------
    precision_at_k : The share of the places that is filled well.

    {notes}

    Examples
    --------
    >>> from skmtl.metrics import recall_at_k
    >>> recall_at_k([1, 0, 1, 0], [0.9, 0.8, 0.3, 0.1], ["u", "u", "u", "u"], k=3)
    1.0
    """
    return _grouped("recall_at_k", y, score, groups, k, gains, weights, return_coverage)


@_fill_in
def hit_rate_at_k(
    y: object,
    score: object,
    groups: object,
    *,
    k: int | None = 10,
    gains: Gains = None,
    weights: str = "equal",
    return_coverage: bool = False,
) -> Any:
    """Share of groups with a positive row among the first k places.

    A row is positive if its gain is positive.

    Parameters
    ----------
    {before_k}
    k : int, default=10
        Number of first places that count; None for all.
    {after_k}

    See Also
    --------
    mrr_at_k : How early the first positive row comes.

    {notes}

    Examples
    --------
    >>> from skmtl.metrics import hit_rate_at_k
    >>> y, users = [0, 1, 0, 1], ["a", "a", "b", "b"]
    >>> hit_rate_at_k(y, [0.9, 0.8, 0.1, 0.3], users, k=1)
    0.5
    """
    return _grouped(
        "hit_rate_at_k", y, score, groups, k, gains, weights, return_coverage
    )


@_fill_in
def mrr_at_k(
    y: object,
    score: object,
    groups: object,
    *,
    k: int | None = 10,
    gains: Gains = None,
    weights: str = "equal",
    return_coverage: bool = False,
) -> Any:
    """Mean reciprocal rank: 1/place of the first positive row, 0 beyond place k.

    A row is positive if its gain is positive.

    Parameters
    ----------
    {before_k}
    k : int, default=10
        Number of first places that count; None for all.
    {after_k}

    See Also
    --------
    hit_rate_at_k : Whether a positive row comes at all.

    {notes}

    References
    ----------
    .. [1] E. M. Voorhees. The TREC-8 question answering track report. TREC 1999,
           section 3.

    Examples
    --------
    >>> from skmtl.metrics import mrr_at_k
    >>> y, users = [0, 1, 0, 1], ["a", "a", "b", "b"]
    >>> mrr_at_k(y, [0.9, 0.8, 0.1, 0.3], users)
    0.75
    """
    return _grouped("mrr_at_k", y, score, groups, k, gains, weights, return_coverage)


def _grouped(
    metric: str,
    y: object,
    score: object,
    groups: object,
    k: int | None,
    gains: Gains,
    weights: str,
    return_coverage: bool,
) -> Any:
    labels = labels_or_numbers(y, gains)
    if isinstance(labels, Labels):
        require_positive(labels)
    values = prepare_top_k(metric, labels, groups, k=k, gains=gains, weights=weights)
    mean, coverage = values(score)
    scalar = gains is not None or (
        isinstance(labels, Labels) and labels.one_dimensional
    )

    def output(values: np.ndarray) -> float | np.ndarray:
        return float(values[0]) if scalar else values

    if not return_coverage:
        return output(mean)
    return output(mean), Coverage(*(output(share) for share in coverage))
