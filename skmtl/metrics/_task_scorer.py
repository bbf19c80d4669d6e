"""The scorer: it predicts, judges every task and reduces the values to one number."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import TypeAlias, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import UndefinedMetricWarning

from skmtl._messages import shown
from skmtl._sklearn import BaseScorer, uncached_call
from skmtl.metrics._fused import prepare_fused, ranks_numbers
from skmtl.metrics._gains import (
    Numbers,
    expected_gain,
    labels_or_numbers,
    number_targets,
)
from skmtl.metrics._mixed import (
    KindScore,
    above,
    judge_estimator,
    kinds_of,
    table_of_values,
    targets_of,
    values_by_task,
)
from skmtl.metrics._predictions import (
    TaskPredictions,
    check_same_tasks,
    final_estimator,
    fuses_tasks,
    task_names_of,
)
from skmtl.metrics._registry import Metric
from skmtl.metrics._validation import (
    check_labels,
    check_scores,
    require_positive,
)
from skmtl.sources.opening import named_columns
from skmtl.tasks import TaskKinds

AVERAGES: dict[str, Callable[[np.ndarray], float]] = {
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
}


class _Metadata:
    """Stand-in for a metric's function where scikit-learn reads its signature."""

    def __init__(self, name: str, metadata: tuple[str, ...]) -> None:
        self.__name__ = name
        both = Parameter.POSITIONAL_OR_KEYWORD
        parameters = [Parameter("y_true", both), Parameter("y_pred", both)]
        parameters += [
            Parameter(n, Parameter.KEYWORD_ONLY, default=None) for n in metadata
        ]
        self.__signature__ = Signature(parameters)

    def __call__(self, y_true: object, y_pred: object, **metadata: object) -> float:
        raise NotImplementedError


# Takes an estimator, the name of one of its methods, and rows.
MethodCaller: TypeAlias = Callable[[object, str, object], object]


class TaskScorer(BaseScorer):
    """Callable ``scorer(estimator, X, y)``; made by :func:`make_task_scorer`."""

    def __init__(
        self,
        metric: Metric,
        task: str | None,
        average: str | Mapping[str, float],
        response_method: str,
        params: dict[str, object],
    ) -> None:
        super().__init__(
            _Metadata(metric.name, metric.metadata),
            1 if metric.greater_is_better else -1,
            {},
            # scikit-learn looks for this method in estimators; "auto" is unknown to it.
            (
                ("predict_proba", "predict")
                if response_method == "auto"
                else response_method
            ),
        )
        self.response_method = response_method
        self.metric = metric
        self.task = task
        self.average = average
        self.params = params

    def __repr__(self) -> str:
        options = {"task": self.task, **self.params}
        if self.task is None and "gains" not in self.params:
            options["average"] = self.average
        if self.response_method != "auto":
            options["response_method"] = self.response_method
        rest = "".join(f", {k}={shown(v)}" for k, v in options.items() if v is not None)
        return f"make_task_scorer({self.metric.name!r}{rest})"

    def __call__(
        self,
        estimator: BaseEstimator,
        X: object,
        y_true: object,
        *,
        groups: object = None,
        sample_weight: object = None,
    ) -> float:
        """Score a fitted estimator; greater is better.

        Of a source, only the columns that `y_true`, `groups` and `sample_weight` name
        are held in memory, and the predictions.
        """
        y_true = named_columns(X, y_true, "y")
        given = {"groups": groups, "sample_weight": sample_weight}
        metadata = {
            name: named_columns(X, value, name)
            for name, value in given.items()
            if value is not None
        }
        for name in metadata:
            if name not in self.metric.metadata:
                raise TypeError(f"{self!r} does not take {name}.")
        return self._score(uncached_call, estimator, X, y_true, **metadata)

    def _score(
        self,
        method_caller: MethodCaller,
        estimator: BaseEstimator,
        X: object,
        y_true: object,
        **metadata: object,
    ) -> float:
        names = task_names_of(estimator)
        if names is not None:
            check_same_tasks(y_true, names)
        of_binary = self.metric.of_binary
        # A threshold makes labels of numbers, and of 0 and 1 the same ones.
        numeric = "threshold" in self.params and not self.metric.of_own_function
        kinds = kinds_of(estimator, also_binary=numeric or not of_binary)
        if kinds is None and not of_binary:
            # Estimators of other packages, such as regressors, do not say what kinds of
            # tasks they have.
            predicted = method_caller(estimator, "predict", X)
            return self.evaluate(y_true, predicted, **metadata)
        if kinds is not None:
            given = {"groups": None, "sample_weight": None} | metadata
            metadata = self._metadata(**given)
            ranks = self._response_of(estimator) == "ranking_score"
            if ranks or self.params.get("gains") is not None:
                numbers = Numbers.of(targets_of(estimator, y_true, kinds))
                score = self._ranking(method_caller, estimator, X, ranks)
                return self.of_fused(numbers, metadata)(score)
            judged, values = judge_estimator(
                KindScore(self.metric, self.params),
                self.task,
                estimator,
                X,
                y_true,
                kinds,
                method_caller,
                metadata,
            )
            # The sign before the average: "min" is the worst task, also of a loss.
            return self._reduce(self._sign * values, judged, self._task_weights(judged))
        labels = check_labels(y_true, names)
        predictions = TaskPredictions(estimator, labels.n_tasks)
        predicted = method_caller(predictions, self._response_of(estimator), X)
        return self.evaluate(labels, predicted, **metadata)

    def _ranking(
        self,
        method_caller: MethodCaller,
        estimator: BaseEstimator,
        X: object,
        fused: bool,
    ) -> np.ndarray:
        """The fused score, or the expected gain of each row."""
        if fused:
            predictions = TaskPredictions(estimator, 0)
            return np.asarray(method_caller(predictions, "ranking_score", X))
        final, rows = final_estimator(estimator, X)
        predictions = TaskPredictions(final, len(final.task_kinds_))
        table = np.asarray(method_caller(predictions, "predict_task", rows))
        tasks = np.array(task_names_of(final), dtype=object)
        names = TaskKinds(final.task_kinds_).column_names(tasks)
        return expected_gain(table, [str(n) for n in names], self.params["gains"])

    def of_fused(
        self, numbers: Numbers, metadata: Mapping[str, object]
    ) -> Callable[[np.ndarray], float]:
        """Return a function from one ranking score to the value of this scorer."""
        names, values = prepare_fused(
            self.metric, self.task, self.params, numbers, metadata
        )
        weights = self._task_weights(names)
        return lambda score: self._reduce(self._sign * values(score), names, weights)

    def _response_of(self, estimator: BaseEstimator) -> str:
        """Name the method of `TaskPredictions` that returns what is judged."""
        responses = {
            "predict_proba": "task_probabilities",
            "decision_function": "ranking_score",
        }
        response = self.response_method
        if response != "auto":
            return responses[response]
        fused = fuses_tasks(estimator)
        if fused and self.metric.of_own_function:
            warnings.warn(
                f"{self!r} judges the probability of each task, which output weights "
                "do not change. Pass response_method='decision_function' to judge the "
                "fused score, or 'predict_proba' if you mean the probabilities.",
                UserWarning,
                stacklevel=4,
            )
        ranks = fused and (self.metric.ranking or ranks_numbers(self.metric))
        return responses["decision_function" if ranks else "predict_proba"]

    def evaluate(
        self,
        y: object,
        score: object,
        *,
        groups: object = None,
        sample_weight: object = None,
    ) -> float:
        """Score existing predictions; greater is better."""
        return self.prepare(y, groups=groups, sample_weight=sample_weight)(score)

    def prepare(
        self, y: object, *, groups: object = None, sample_weight: object = None
    ) -> Callable[[object], float]:
        """Return a function from predictions to the score, to reuse with one `y`."""
        if not self.metric.of_binary:
            return self._prepare_numbers(y, groups, sample_weight)
        params = dict(self.params)
        if not self.metric.of_own_function and "threshold" in params:
            y = above(y, cast(float, params.pop("threshold")))
        labels = labels_or_numbers(y, params.get("gains"))
        if isinstance(labels, Numbers):
            given = self._metadata(groups, sample_weight)
            gained = self.metric.prepare(labels, **given, **params)
            return lambda score: float(gained(score)[0])
        if self.metric.ranking:
            require_positive(labels)
        every = labels
        if self.task is not None:
            labels = labels.select([self.task])
        metadata = self._metadata(groups, sample_weight)
        values = self.metric.prepare(labels, **metadata, **params)
        weights = self._task_weights(labels.names)

        def score_of(score: object) -> float:
            if self.task is not None:
                # Matched by name to the columns of all tasks before one is chosen.
                score = check_scores(score, every)
                if score.ndim == 2:
                    score = score[:, [every.index(self.task)]]
            return self._reduce(self._sign * values(score), labels.names, weights)

        return score_of

    def _prepare_numbers(
        self, y: object, groups: object, sample_weight: object
    ) -> Callable[[object], float]:
        """Do what `prepare` does, for labels that are numbers."""
        metadata = self._metadata(groups, sample_weight)
        targets = number_targets(y)
        one = KindScore(self.metric, self.params)

        def score_of(score: object) -> float:
            values = table_of_values(score, targets, "score")
            judged, found = values_by_task(
                one, self.task, targets, values, None, metadata
            )
            return self._reduce(self._sign * found, judged, self._task_weights(judged))

        return score_of

    def _metadata(self, groups: object, sample_weight: object) -> dict[str, object]:
        if self.metric.needs_groups and groups is None:
            raise ValueError(
                f"{self!r} needs the group of each row, and got none. Under "
                "cross-validation set sklearn.set_config(enable_metadata_routing=True),"
                " request the groups by scorer.set_score_request(groups=True), and pass"
                " them: cross_validate(..., params={'groups': groups}) or "
                "search.fit(X, y, groups=groups). A direct call takes "
                "scorer(estimator, X, y, groups=groups)."
            )
        given = {"groups": groups, "sample_weight": sample_weight}
        return {n: given[n] for n in self.metric.metadata if given[n] is not None}

    def _task_weights(self, names: Sequence[str]) -> np.ndarray | None:
        if self.task is not None or not isinstance(self.average, Mapping):
            return None
        for name in self.average:
            if name not in names:
                raise ValueError(
                    f"Unknown task {shown(name)}. The known tasks are {names}."
                )
        return np.array([float(self.average.get(n, 0.0)) for n in names])

    def _reduce(
        self, values: np.ndarray, names: Sequence[str], weights: np.ndarray | None
    ) -> float:
        # NaN of a single task is not left out; the metric has warned of it.
        if len(values) == 1:
            return float(values[0])
        used = np.ones(len(values), bool) if weights is None else weights > 0
        defined = used & ~np.isnan(values)
        if defined.sum() < used.sum():
            left_out = [names[i] for i in np.flatnonzero(used & ~defined).tolist()]
            warnings.warn(
                f"{self!r} averaged {int(defined.sum())} of {int(used.sum())} tasks; "
                f"undefined: {left_out}.",
                UndefinedMetricWarning,
                stacklevel=3,
            )
        if not defined.any():
            return np.nan
        if weights is not None:
            return float(np.average(values[defined], weights=weights[defined]))
        return float(AVERAGES[str(self.average)](values[defined]))
