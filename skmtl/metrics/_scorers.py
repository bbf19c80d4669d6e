"""Scorers by name or from functions, for everything that takes ``scoring=``."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from skmtl._messages import shown
from skmtl.metrics._by_kind import KIND_METRICS, metrics_of_kind
from skmtl.metrics._registry import METRICS, find_metric
from skmtl.metrics._task_scorer import AVERAGES, TaskScorer
from skmtl.metrics._validation import as_numbers, named_values


def make_task_scorer(
    metric: str | Callable[..., float],
    *,
    task: str | None = None,
    average: str | Mapping[str, float] = "mean",
    response_method: str = "auto",
    greater_is_better: bool | None = None,
    **params: object,
) -> TaskScorer:
    """Make a scorer of one task, or of an average over tasks.

    The scorer can be used wherever scikit-learn takes ``scoring=``: alone, or in a dict
    of several, of which ``refit`` names one. It accepts this package's rankers, every
    scikit-learn multioutput classifier with ``predict_proba``, and pipelines of them.

    Parameters
    ----------
    metric : str or callable
        ``"auc"``, ``"gauc"``, ``"ndcg"``, ``"precision"``, ``"recall"``,
        ``"hit_rate"``, ``"mrr"``, ``"log_loss"``, ``"brier"`` or ``"ece"`` of binary
        tasks; ``"rmse"``, ``"mae"``, ``"r2"``, ``"spearman"`` and ``"pair_accuracy"``
        of regressions and ordinal tasks; ``"pinball"``, ``"poisson_deviance"``,
        ``"gamma_deviance"`` and ``"tweedie_deviance"`` of regressions; ``"kappa"`` of
        ordinal tasks, ``"accuracy"`` of these and multiclass ones, which also have
        ``"auc"`` and ``"log_loss"``. Or a function ``metric(y, score, **params)`` of
        the observed labels and the scores of one task, such as
        ``sklearn.metrics.average_precision_score``. It gets `groups` and
        `sample_weight` if it has such parameters.
    task : str, default=None
        Name of the task: of ``task_names_`` of the estimator where it has them, else
        of the columns of `y`, else ``"0"``, ``"1"``, …. None: all tasks.
    average : {"mean", "min", "max"} or mapping, default="mean"
        How the scores of several tasks become one. A mapping gives weights of a mean by
        the names of tasks. Tasks whose kind does not have the metric are ignored. Tasks
        with an undefined value are left out, with a warning that says how many tasks
        were averaged.
    response_method : {"auto", "predict_proba", "decision_function"}, default="auto"
        Judge the probability of each task, or the one ranking score of an estimator
        that fuses the tasks. "auto" takes the fused score of an estimator with output
        weights for the metrics that rank, such as "auc" and "ndcg", and the
        probabilities otherwise. A function judges the probabilities of such an
        estimator, with a warning.
    greater_is_better : bool, default=None
        Only for a function: whether high values are good; None means True. The scorer
        of a metric whose low values are good returns its negative.
    **params : dict
        Parameters of the metric: `k`, `gains` and `weights` of the rank metrics,
        `weights` of GAUC, `n_bins` and `strategy` of the calibration error, `alpha`
        of the pinball loss, `power` of the Tweedie deviance. With `threshold`, the AUC
        and GAUC count numbers above it as positive labels.

    Returns
    -------
    TaskScorer
        A scorer ``scorer(estimator, X, y, *, groups=None, sample_weight=None)``;
        greater is better. ``scorer.evaluate(y, score)`` evaluates existing predictions,
        ``scorer.prepare(y)(score)`` many of them on the same labels.

    Raises
    ------
    ValueError
        If the metric or a parameter is unknown.
    TypeError
        If `metric` is neither a name nor a function.

    See Also
    --------
    get_task_scorer : Scorers by name.

    Notes
    -----
    Groups and weights reach the scorer by scikit-learn's metadata routing:
    ``scorer.set_score_request(groups=True)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import KFold, cross_val_score
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skmtl.metrics import make_task_scorer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> y = (X + rng.normal(size=(300, 2)) > 0).astype(int)
    >>> worst = make_task_scorer("auc", average="min")
    >>> tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    >>> cross_val_score(tree, X, y, scoring=worst, cv=KFold(3)).round(2)
    array([0.73, 0.75, 0.76])
    """
    known = find_metric(metric, greater_is_better)
    unknown = [name for name in params if name not in known.params]
    if unknown:
        raise ValueError(
            f"The metric {known.name!r} has no parameter {shown(unknown[0])}; its "
            f"parameters are {list(known.params)}."
        )
    if response_method not in ("auto", "predict_proba", "decision_function"):
        raise ValueError(
            "response_method must be 'auto', 'predict_proba' or 'decision_function'; "
            f"got {shown(response_method)}."
        )
    average = named_values(average)
    _check_average(average)
    if task is not None and params.get("gains") is not None:
        raise ValueError("gains combine several tasks: pass either gains or task.")
    name = None if task is None else str(task)
    return TaskScorer(known, name, average, response_method, params)


def _check_average(average: object) -> None:
    if isinstance(average, Mapping):
        weights = as_numbers(list(average.values()), "The weights of average")
        ok = len(weights) and np.isfinite(weights).all() and (weights >= 0).all()
        if not (ok and weights.any()):
            raise ValueError(
                "The weights of average must be finite, not negative and not all zero; "
                f"got {dict(average)}."
            )
    elif average not in AVERAGES:
        raise ValueError(
            f"average must be one of {list(AVERAGES)} or a mapping from tasks to "
            f"weights; got {shown(average)}."
        )


# The metric is matched lazily, and takes neither "@k" nor ":task".
_NAME = re.compile(r"(?:(mean|min|max)_)?([a-z_0-9]+?)(?:@(\d+))?(?::(.+))?")


def get_task_scorer(scoring: str | Callable[..., float], **params: Any) -> Any:
    """Return a scorer by its name, such as ``"auc:order"``.

    A name is ``[average_]metric[@k][:task]``: ``"auc"`` and ``"mean_auc"`` are the mean
    over tasks, ``"min_auc"`` the worst task, ``"auc:order"`` one task, ``"ndcg@10"``
    the first ten places, ``"recall@20:order"`` both.

    Parameters
    ----------
    scoring : str or callable
        The name. A scorer is returned unchanged.
    **params : dict
        Further parameters of :func:`make_task_scorer`, such as
        ``gains={"click": 1, "order": 10}``.

    Returns
    -------
    TaskScorer
        A new scorer, see :func:`make_task_scorer`.

    Raises
    ------
    ValueError
        If the name is not one of :func:`get_task_scorer_names`, with ``@k`` and
        ``:task`` where they apply.

    See Also
    --------
    get_task_scorer_names : The known names.
    make_task_scorer : Scorers from functions.

    Notes
    -----
    scikit-learn looks up strings in a table of its own, so ``GridSearchCV`` takes the
    scorer, ``scoring=get_task_scorer("auc:order")``, and not the name. This package's
    estimators take both.

    Examples
    --------
    >>> from skmtl.metrics import get_task_scorer
    >>> get_task_scorer("recall@20:order")
    make_task_scorer('recall', task='order', k=20)
    >>> get_task_scorer("min_auc")
    make_task_scorer('auc', average='min')
    """
    if callable(scoring) and not params:
        return scoring
    found = _NAME.fullmatch(scoring) if isinstance(scoring, str) else None
    average, metric, k, task = found.groups() if found else (None, None, None, None)
    if metric not in METRICS:
        raise ValueError(
            f"scoring={shown(scoring)} is not a known scorer. The known names are "
            f"{get_task_scorer_names()} and, for tasks that are not binary, "
            f"{sorted(KIND_METRICS)}, with '@k' after a rank metric and ':task' at "
            "the end, such as 'recall@20:order'."
        )
    if average and task:
        raise ValueError(
            f"{shown(scoring)} names both an average over tasks and the task "
            f"{shown(task)}; leave one out."
        )
    if k is not None and "k" not in METRICS[metric].params:
        raise ValueError(f"{shown(scoring)}: the metric {shown(metric)} has no '@k'.")
    named = {"average": average, "k": None if k is None else int(k), "task": task}
    for name, value in named.items():
        if value is not None and name in params:
            raise ValueError(
                f"{shown(scoring)} already names {name}; do not pass it too."
            )
    params |= {name: value for name, value in named.items() if value is not None}
    return make_task_scorer(metric, **params)


def get_task_scorer_names(kind: str = "binary") -> list[str]:
    """List the names that :func:`get_task_scorer` knows, without ``@k`` and ``:task``.

    Parameters
    ----------
    kind : {"binary", "regression", "ordinal", "multiclass"}, default="binary"
        Kind of the tasks that are judged.

    Returns
    -------
    list of str
        The names, sorted.

    Examples
    --------
    >>> from skmtl.metrics import get_task_scorer_names
    >>> get_task_scorer_names()[:4]
    ['auc', 'brier', 'ece', 'gauc']
    """
    metrics = [name for name, one in METRICS.items() if one.of_binary]
    if kind != "binary":
        metrics = metrics_of_kind(kind)
    averages = [f"{average}_{metric}" for average in AVERAGES for metric in metrics]
    return [*sorted(metrics), *sorted(averages)]
