"""Metrics of the fused score, from everything that ``scoring`` may be."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from inspect import Parameter, signature
from typing import Any, NoReturn

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, get_scorer_names

from skmtl._containers import n_rows_of
from skmtl._messages import shown
from skmtl._sklearn import BaseScorer, scorer_parts
from skmtl._typing import AnyArray, ObjectArray
from skmtl.metrics import get_task_scorer, get_task_scorer_names, make_task_scorer
from skmtl.metrics._fused import ranks_numbers
from skmtl.metrics._predictions import FusesTasks
from skmtl.metrics._registry import Metric, function_name
from skmtl.metrics._task_scorer import TaskScorer
from skmtl.output_weights._terms import TaskColumns

THRESHOLD = "decision_function"


class FusedPredictions(FusesTasks, ClassifierMixin, BaseEstimator):
    """Predictions of some rows under one candidate, in the form of an estimator.

    A scorer ``f(estimator, X, y)`` is called with it, and must ask for predictions of
    the same rows `X`.
    """

    def __init__(
        self,
        score: np.ndarray,
        proba: np.ndarray,
        classes_: AnyArray | list[AnyArray],
        task_names_: ObjectArray,
    ) -> None:
        self.score_of_rows = score
        self.proba = proba
        self.classes_ = classes_
        self.task_names_ = task_names_

    def decision_function(self, X: object) -> np.ndarray:
        return check_same_rows(X, self.score_of_rows)

    def predict_proba(self, X: object) -> np.ndarray | list[np.ndarray]:
        proba = check_same_rows(X, self.proba)
        both = [np.column_stack([1 - p, p]) for p in proba.T]
        return both if isinstance(self.classes_, list) else both[0]

    def predict_task(self, X: object) -> np.ndarray:
        return check_same_rows(X, self.proba)


def check_same_rows(X: object, of_rows: np.ndarray) -> np.ndarray:
    """Return predictions of a fold's rows, if as many are asked for."""
    n = n_rows_of(X)
    if n != len(of_rows):
        raise ValueError(
            f"A scorer in a search of output weights must score the {len(of_rows)} "
            f"rows that it gets; it asked for {n} rows. Predictions are made once for "
            "each fold."
        )
    return of_rows


class FusedExpected(FusesTasks, BaseEstimator):
    """As `FusedPredictions`, for tasks that are not all binary."""

    def __init__(
        self, score: np.ndarray, table: np.ndarray, columns: TaskColumns
    ) -> None:
        self.score_of_rows = score
        self.table = table
        self.task_names_ = np.array(columns.tasks, dtype=object)
        self.task_kinds_ = columns.kinds

    def decision_function(self, X: object) -> np.ndarray:
        return check_same_rows(X, self.score_of_rows)

    def predict_task(self, X: object) -> np.ndarray:
        return check_same_rows(X, self.table)

    @property
    def predict_proba(self) -> NoReturn:
        """Not there; says what is."""
        raise AttributeError(
            "A scorer in a search of output weights gets no predict_proba if not all "
            "tasks are binary. Use predict_task(X), the expected labels."
        )


class EstimatorScorer(TaskScorer):
    """A function ``f(estimator, X, y)``, called with the predictions of a candidate."""

    def __init__(self, function: Callable[[Any, Any, Any], float]) -> None:
        name = function_name(function)
        metric = Metric(name, _no_preparation, (), ranking=False)
        super().__init__(metric, None, "mean", "auto", {})
        self.function = function

    def __repr__(self) -> str:
        return self.metric.name

    def of_estimator(self, estimator: BaseEstimator, X: object, y: object) -> float:
        return float(self.function(estimator, X, y))


def _no_preparation(*args: object, **kwargs: object) -> NoReturn:
    raise NotImplementedError("A scorer f(estimator, X, y) needs an estimator.")


def find_scorers(scoring: object, *, mixed: bool = False) -> dict[str, TaskScorer]:
    """Return scorers by name; a single one is named "score", as in `cv_results_`.

    If tasks are `mixed`, not all are binary.
    """
    if scoring is None:
        scoring = "pair_accuracy" if mixed else "auc"
    if isinstance(scoring, Mapping):
        named = dict(scoring)
    elif isinstance(scoring, list | tuple | set):
        named = {str(one): one for one in scoring}
    else:
        named = {"score": scoring}
    if not named:
        raise ValueError("scoring is empty: name at least one metric.")
    return {str(name): as_scorer(one, mixed=mixed) for name, one in named.items()}


def as_scorer(scoring: object, *, mixed: bool = False) -> TaskScorer:
    if isinstance(scoring, str):
        scorer = _named(scoring)
    elif isinstance(scoring, TaskScorer):
        scorer = scoring
    elif isinstance(scoring, BaseScorer):
        scorer = _of_scikit_learn(scoring, repr(scoring))
    elif callable(scoring):
        takes_estimator = _n_required(scoring) >= 3
        make = EstimatorScorer if takes_estimator else make_task_scorer
        scorer = make(scoring)
    else:
        raise TypeError(
            "scoring must be a name such as 'auc:order', a scorer, or a function "
            f"metric(y, score) or scorer(estimator, X, y); got {shown(scoring)}."
        )
    if mixed and ranks_numbers(scorer.metric):
        return scorer
    if ranks_numbers(scorer.metric):
        raise ValueError(
            f"scoring={scorer.metric.name!r} judges an order by numbers, and all tasks "
            "are binary. Use 'auc', which is the pair accuracy of two labels, or "
            "another ranking metric such as 'gauc' or 'ndcg@10'."
        )
    if not scorer.metric.of_binary:
        raise ValueError(
            f"scoring={scorer.metric.name!r} judges predicted labels or values, and "
            "output weights give a ranking score. Use a ranking metric such as "
            "'auc:order', 'gauc' or 'ndcg@10'; for numbers, 'spearman' or "
            "'pair_accuracy'."
        )
    if not scorer.metric.ranking and not scorer.metric.greater_is_better:
        raise ValueError(
            f"scoring={scorer.metric.name!r} judges probabilities, which a fused score "
            "is not. Use a ranking metric such as 'auc:order', 'gauc' or 'ndcg@10'."
        )
    return scorer


def _named(scoring: str) -> TaskScorer:
    """Look up a scorer by name, in this package and then in scikit-learn."""
    try:
        scorer: TaskScorer = get_task_scorer(scoring)
        if scorer.metric.of_binary or scoring not in get_scorer_names():
            return scorer
        return _of_scikit_learn(get_scorer(scoring), repr(scoring))
    except ValueError as error:
        if scoring in get_scorer_names():
            return _of_scikit_learn(get_scorer(scoring), repr(scoring))
        # Any other error says what is wrong about a name that is known.
        if "is not a known scorer" not in str(error):
            raise
        raise ValueError(
            f"scoring={shown(scoring)} is not a known scorer. The known names are "
            f"{get_task_scorer_names()}, with '@k' after a rank metric and ':task' at "
            "the end, such as 'recall@20:order', and those of scikit-learn's scorers "
            "that judge a ranking score, such as 'roc_auc' and 'average_precision'."
        ) from error


def _of_scikit_learn(scorer: BaseScorer, shown: str) -> TaskScorer:
    """Wrap a scorer of scikit-learn, whose metric then judges every binary task."""
    function, sign, params, responses = scorer_parts(scorer)
    if THRESHOLD not in responses:
        raise ValueError(
            f"scoring={shown} judges {' or '.join(responses)}, and output weights give "
            "a ranking score. Use a ranking metric such as 'roc_auc', 'auc:order' or "
            "'ndcg@10'."
        )
    if function.__name__ == "roc_auc_score" and not params and sign > 0:
        return make_task_scorer("auc")  # the same value, computed faster
    metric = partial(function, **params) if params else function
    found = make_task_scorer(metric, greater_is_better=sign > 0)
    found.metric = replace(found.metric, only_binary=True)
    return found


def _n_required(function: Callable[..., object]) -> int:
    """Count the positional parameters without a default."""
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions in C have no signature
        return 2
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return sum(
        p.kind in positional and p.default is Parameter.empty for p in parameters
    )
