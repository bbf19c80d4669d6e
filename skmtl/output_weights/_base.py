"""Base of both estimators: delegate to the inner one and fuse what it predicts."""

import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.utils import Tags, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmtl._containers import to_native
from skmtl._saving import MetaSaveMixin
from skmtl._sklearn import (
    HasMethods,
    StrOptions,
    VisualBlock,
    check_parameters,
    estimator_has,
)
from skmtl._typing import WeightsLike
from skmtl.metrics import get_task_scorer
from skmtl.metrics._predictions import (
    FusesTasks,
    TaskPredictions,
    check_binary_tasks,
    task_names_of,
)
from skmtl.metrics._validation import Labels, labels_of
from skmtl.output_weights._fusion import (
    METHODS,
    check_weights,
    default_names,
    transformed,
    weighted_sum,
)
from skmtl.tasks import check_targets


def read_labels(y: object) -> tuple[Labels, Any]:
    """Read the labels of every task, and the classes of a single one."""
    targets = check_targets(to_native(y, "y"))
    if targets.multioutput:
        return labels_of(targets, one_dimensional=False), None
    if np.asarray(y).ndim == 2:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected. Pass the "
            "labels of a single task as y.ravel() or as a Series.",
            DataConversionWarning,
            stacklevel=4,
        )
    found = np.unique(targets.labels[targets.observed])
    if len(found) < 2 and targets.observed.all():
        raise ValueError(
            f"y holds only one class, {targets.as_given()[:1].tolist()}; a ranking "
            "needs two classes. Pass labels of both."
        )
    return labels_of(targets, one_dimensional=True), targets.classes


def mean_area(y: object, score: object, sample_weight: object) -> float:
    """Return the mean ROC AUC of the tasks, the `score` of the estimators."""
    labels, _ = read_labels(y)
    found: float = get_task_scorer("auc").evaluate(
        labels, score, sample_weight=sample_weight
    )
    return found


def fit_router(owner: BaseEstimator) -> MetadataRouter:
    """Route from `fit` to the inner estimator, and to `cv` if it is a splitter."""
    router = MetadataRouter(owner=owner).add(
        estimator=owner.estimator,
        method_mapping=MethodMapping().add(caller="fit", callee="fit"),
    )
    splitter = getattr(owner, "cv", None)
    if hasattr(splitter, "split"):
        router.add(
            splitter=splitter,
            method_mapping=MethodMapping().add(caller="fit", callee="split"),
        )
    return router


def task_table(estimator: BaseEstimator, X: object, n_tasks: int) -> np.ndarray:
    """Probabilities ``(n_samples, n_tasks)`` of a fitted classifier."""
    if n_tasks == 1:
        proba = estimator.predict_proba(X)
        proba = np.asarray(proba[0] if isinstance(proba, list) else proba)
        if proba.ndim != 2 or not proba.shape[1]:
            raise ValueError(
                f"{type(estimator).__name__}.predict_proba gives shape {proba.shape}. "
                "It must return a column for each class."
            )
        return proba[:, -1:].astype(np.float64)
    table = np.asarray(TaskPredictions(estimator, n_tasks).task_probabilities(X))
    if table.ndim != 2 or table.shape[1] != n_tasks:
        raise ValueError(
            f"{type(estimator).__name__}.predict_proba gives shape {table.shape}, but "
            f"there are {n_tasks} tasks. It must return a probability for each task."
        )
    return table.astype(np.float64)


def check_can_fuse(
    estimator: BaseEstimator, who: BaseEstimator, *, refits: bool = False
) -> None:
    """Raise if not all tasks of an estimator are binary, or it has no probabilities.

    Raises
    ------
    ValueError
        For such an estimator.
    """
    check_binary_tasks(
        estimator,
        f"{type(who).__name__} fuses",
        "Fuse expected values by skmtl.fuse(ranker.predict_task(X), weights), which "
        "takes products of tasks too, such as {('order', 'revenue'): 1}.",
        refits=refits,
    )
    check_has_probabilities(estimator, who, refits=refits)


def check_has_probabilities(
    estimator: BaseEstimator, who: BaseEstimator, *, refits: bool
) -> None:
    """Raise scikit-learn's error for parameters if there is no ``predict_proba``.

    A ranker with a task without classes has none, but an error about the task is more
    helpful. So this is called once the tasks are known to be binary.
    """
    if refits and hasattr(estimator, "get_params"):
        estimator = clone(estimator)  # the methods of a last fit do not count
    needed = {"estimator": [HasMethods(["fit", "predict_proba"])]}
    check_parameters(needed, {"estimator": estimator}, type(who).__name__)


class BaseOutputWeights(
    FusesTasks, MetaSaveMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator
):
    """Rank by a fused score; delegate everything else to the inner estimator."""

    _parameter_constraints: ClassVar[dict[str, object]] = {
        "estimator": [HasMethods(["fit"])],
        "method": [StrOptions(set(METHODS))],
    }

    def _inner(self) -> Any:
        """Return the fitted inner estimator, or `estimator` itself if only it is."""
        if hasattr(self, "estimator_"):
            return self.estimator_
        # `check_is_fitted` would raise TypeError for a class.
        if not isinstance(self.estimator, type):
            try:
                check_is_fitted(self.estimator)
                return self.estimator
            except NotFittedError:
                pass
        check_is_fitted(self, "estimator_")
        return None

    def _set_inner(self, fitted: object, labels: Labels) -> None:
        """Keep the fitted inner estimator, if there is one, and the task names."""
        if fitted is None:
            # Of an earlier fit.
            self.__dict__.pop("estimator_", None)
        else:
            self.estimator_ = fitted
        names = task_names_of(fitted) or labels.names
        self.task_names_ = np.array(names, dtype=object)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def _names(self) -> list[str]:
        inner = self._inner()
        if hasattr(self, "task_names_"):
            return list(self.task_names_)
        names = task_names_of(inner)
        if names is not None:
            return names
        classes = inner.classes_
        return default_names(len(classes) if isinstance(classes, list) else 1)

    def _output_weights(self, names: list[str]) -> WeightsLike:
        raise NotImplementedError

    @property
    def classes_(self) -> Any:
        """Classes of the inner estimator."""
        try:
            return self._inner().classes_
        except NotFittedError as error:
            # `hasattr` is then False, by which scikit-learn sees that there are no
            # classes.
            raise AttributeError("The inner estimator is not fitted yet.") from error

    @available_if(estimator_has("predict"))
    def predict(self, X: object) -> Any:
        """Predict the labels with the inner estimator; the weights are not used.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels.
        """
        return self._inner().predict(X)

    @available_if(estimator_has("predict_proba"))
    def predict_proba(self, X: object) -> Any:
        """Estimate the probabilities with the inner estimator.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray, or list of ndarray of shape (n_samples, 2)
            As the inner estimator gives them.
        """
        return self._inner().predict_proba(X)

    @available_if(estimator_has("predict_log_proba"))
    def predict_log_proba(self, X: object) -> Any:
        """Estimate logarithms of probabilities with the inner estimator.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray, or list of ndarray of shape (n_samples, 2)
            As the inner estimator gives them.
        """
        return self._inner().predict_log_proba(X)

    @available_if(estimator_has("predict_task_proba"))
    def predict_task_proba(self, X: object) -> Any:
        """Estimate the probability of a positive for every task.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, n_tasks)
            As the inner estimator gives it.
        """
        return self._inner().predict_task_proba(X)

    def decision_function(self, X: object) -> np.ndarray:
        """Fuse the probabilities of the tasks into one ranking score.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples,)
            The ranking score, higher first. With a single task, unless ranks are fused,
            its value at probability 0.5 is subtracted, so that the score is positive
            where ``predict`` is.
        """
        inner, names = self._inner(), self._names()
        check_can_fuse(inner, self)
        weights = check_weights(self._output_weights(names), names)
        table = task_table(inner, X, len(names))
        score = weighted_sum(transformed(table, self.method, names), weights)
        if len(names) == 1 and self.method != "rank":
            score -= (
                weights[0] * transformed(np.full((1, 1), 0.5), self.method, names)[0]
            )
        return score

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return the ROC AUC of the fused score, averaged over the tasks.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels; NaN where not observed.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The mean area.
        """
        return mean_area(y, self.decision_function(X), sample_weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.classifier_tags.multi_class = False
        # Tables of labels are accepted, but these tags promise a decision_function with
        # a column for each task, whereas this one fuses the tasks.
        tags.classifier_tags.multi_label = False
        tags.target_tags.multi_output = False
        tags.target_tags.single_output = True
        tags.input_tags = inner.input_tags
        return tags

    def _sk_visual_block_(self) -> VisualBlock:
        estimator = getattr(self, "estimator_", self.estimator)
        return VisualBlock(
            "serial",
            [estimator],
            names=[type(estimator).__name__],
            name_details=[str(estimator)],
            dash_wrapped=False,
        )
