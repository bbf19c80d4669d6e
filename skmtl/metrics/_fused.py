"""Metrics of one ranking score for tasks of several kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from skmtl._messages import shown
from skmtl.metrics._by_kind import pair_accuracy_of, spearman_of
from skmtl.metrics._gains import Numbers
from skmtl.metrics._mixed import naming
from skmtl.metrics._registry import Metric, Values
from skmtl.metrics._roc_auc import prepare_roc_auc
from skmtl.metrics._validation import Labels, check_length
from skmtl.tasks import BinaryTask, TaskKind

Score = Callable[[np.ndarray], float]
# Metrics of numbers that judge an order.
OF_NUMBERS = {"spearman": spearman_of, "pair_accuracy": pair_accuracy_of}


def ranks_numbers(metric: Metric) -> bool:
    """Whether a metric judges an order by numbers."""
    return metric.name in OF_NUMBERS and not metric.of_own_function


def judged_by_order(
    metric: Metric,
    task: str | None,
    params: Mapping[str, object],
    names: Sequence[str],
    kinds: Sequence[TaskKind],
) -> list[int]:
    """Return the tasks whose labels can judge a ranking score by a metric.

    Raises
    ------
    ValueError
        If there are none, or the named task is not one of them.
    """
    if task is not None and task not in names:
        raise ValueError(f"Unknown task {shown(task)}. The known tasks are {[*names]}.")
    wanted = range(len(names)) if task is None else [names.index(task)]
    found = [t for t in wanted if _judges(metric, params, kinds[t])]
    if not found:
        listed = ", ".join(f"{names[t]!r} ({kinds[t].name})" for t in wanted)
        raise ValueError(
            f"The metric {metric.name!r} cannot judge a ranking score by {listed}. "
            "Binary tasks have 'auc', 'gauc' and the rank metrics, such as 'ndcg@10'. "
            "Regressions and ordinal tasks have 'spearman' and 'pair_accuracy', and "
            "'auc' and 'gauc' with a threshold. Rank metrics with gains judge several "
            "tasks at once, such as gains={('order', 'revenue'): 1}."
        )
    return found


def _judges(metric: Metric, params: Mapping[str, object], kind: TaskKind) -> bool:
    if kind.name == "multiclass":
        return False
    if metric.of_own_function:
        return isinstance(kind, BinaryTask) or not metric.only_binary
    if isinstance(kind, BinaryTask):
        # For two labels the pair accuracy is the ROC AUC.
        return metric.ranking or metric.name == "pair_accuracy"
    return ranks_numbers(metric) or params.get("threshold") is not None


def prepare_fused(
    metric: Metric,
    task: str | None,
    params: Mapping[str, object],
    numbers: Numbers,
    metadata: Mapping[str, object],
) -> tuple[list[str], Values]:
    """Return names of the judged tasks, and a function from a score to their values."""
    given = {
        name: check_length(one, len(numbers), name) for name, one in metadata.items()
    }
    if params.get("gains") is not None:
        return ["gains"], metric.prepare(numbers, **given, **params)
    tasks = judged_by_order(metric, task, params, numbers.names, numbers.kinds)
    functions = [_of_task(metric, params, numbers, t, given) for t in tasks]
    return (
        [numbers.names[t] for t in tasks],
        lambda score: np.array([function(score) for function in functions]),
    )


def _of_task(
    metric: Metric,
    params: Mapping[str, object],
    numbers: Numbers,
    task: int,
    given: Mapping[str, np.ndarray],
) -> Score:
    """The metric of one task, on the rows where its label was observed."""
    seen = ~np.isnan(numbers.values[task])
    y, kind = numbers.values[task][seen], numbers.kinds[task]
    own = {name: one[seen] for name, one in given.items()}
    if not len(y):
        return lambda score: np.nan
    if metric.of_own_function:
        labels = y.astype(np.int64) if isinstance(kind, BinaryTask) else y
        function = metric.function
        assert function is not None

        def of_own(score: np.ndarray) -> float:
            with naming(numbers.names[task]):
                return float(function(labels, score[seen], **own, **params))

        return of_own
    if ranks_numbers(metric):
        of_number = OF_NUMBERS[metric.name]
        # The same value by one sort, instead of a pass for each distance of two rows.
        if isinstance(kind, BinaryTask) and not own:
            area = prepare_roc_auc(Labels((y == 1)[None], None, [""], True))
            return lambda score: float(area(score[seen])[0])
        return lambda score: of_number(y, score[seen], **own)
    options = dict(params)
    threshold = options.pop("threshold", None)
    above = 0.5 if isinstance(kind, BinaryTask) else threshold
    positive = y > above
    if not positive.any():
        return lambda score: np.nan
    one = Labels(positive[None], None, [numbers.names[task]], one_dimensional=True)
    values = metric.prepare(one, **own, **options)
    return lambda score: float(values(score[seen])[0])
