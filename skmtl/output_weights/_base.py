"""Base of both estimators: delegate to the inner one and fuse what it predicts."""

import warnings
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.utils import RegressorTags, Tags, get_tags
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
from skmtl.metrics import get_task_scorer
from skmtl.metrics._gains import Numbers
from skmtl.metrics._predictions import (
    FusesTasks,
    check_same_tasks,
    final_estimator,
    kinds_to_read,
    task_names_of,
)
from skmtl.metrics._validation import Labels, labels_of
from skmtl.output_weights._fusion import METHODS, default_names, fuse_columns
from skmtl.output_weights._terms import TaskColumns
from skmtl.tasks import TaskKind, check_targets


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


def read_mixed(
    estimator: BaseEstimator, y: object, kinds: list[TaskKind], *, refits: bool
) -> Numbers:
    """Read the labels of tasks that are not all binary, in an estimator's order."""
    names = None if refits else task_names_of(estimator)
    if names is not None and names != default_names(len(names)):
        check_same_tasks(y, names)
    targets = check_targets(to_native(y, "y"), kinds=kinds, tasks=names)
    numbers = Numbers.of(targets)
    return numbers if names is None else replace(numbers, names=names)


def mean_area(y: object, score: object, sample_weight: object) -> float:
    """Return the mean ROC AUC of the tasks, the `score` of the estimators."""
    labels, _ = read_labels(y)
    found: float = get_task_scorer("auc").evaluate(
        labels, score, sample_weight=sample_weight
    )
    return found


def tags_of_inner(tags: Tags, inner: Tags) -> Tags:
    """Make tags those of a regressor where the inner estimator is one.

    Cross-validation must not look for classes in numbers.
    """
    if inner.estimator_type == "regressor":
        tags.estimator_type = "regressor"
        tags.classifier_tags, tags.regressor_tags = None, RegressorTags()
    return tags


def _final_has(owner: "BaseOutputWeights", method: str) -> bool:
    inner = getattr(owner, "estimator_", owner.estimator)
    return hasattr(final_estimator(inner)[0], method)


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


def check_has_probabilities(
    estimator: BaseEstimator, who: BaseEstimator, *, refits: bool
) -> None:
    """Raise scikit-learn's error for parameters if there is no ``predict_proba``.

    A ranker with a task without classes has none, so this is called once the tasks are
    known to be binary.
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

    def _set_inner(self, fitted: object, names: list[str]) -> None:
        """Keep the fitted inner estimator, if there is one, and the task names."""
        if fitted is None:
            # Of an earlier fit.
            self.__dict__.pop("estimator_", None)
        else:
            self.estimator_ = fitted
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

    def _output_weights(self, columns: TaskColumns) -> object:
        """Return weights of these columns, in a form that `fuse` takes."""
        raise NotImplementedError

    @property
    def task_kinds_(self) -> list[TaskKind]:
        """Kinds of the tasks of the inner estimator, if it has them."""
        try:
            final, _ = final_estimator(self._inner())
        except NotFittedError as error:
            raise AttributeError("The inner estimator is not fitted yet.") from error
        kinds: list[TaskKind] = final.task_kinds_
        return kinds

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

    @available_if(lambda self: _final_has(self, "predict_task"))
    def predict_task(self, X: object) -> Any:
        """Estimate the expected label of every task.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            As the inner estimator gives it.
        """
        final, rows = final_estimator(self._inner(), X)
        return final.predict_task(rows)

    def decision_function(self, X: object) -> np.ndarray:
        """Fuse the predictions of the tasks into one ranking score.

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
        kinds = kinds_to_read(inner, names)
        if kinds is None:
            check_has_probabilities(inner, self, refits=False)
        columns = TaskColumns(names, kinds)
        weights = self._output_weights(columns)
        score = fuse_columns(columns.of(inner, X), columns.names, weights, self.method)
        if len(names) == 1 and kinds is None and self.method != "rank":
            # The score is then above 0 where `predict` is 1.
            half = np.full((1, 1), 0.5)
            score -= fuse_columns(half, names, weights, self.method)
        return score

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return the ROC AUC of the fused score, averaged over the tasks.

        Of a task with numbers it is the share of the pairs of rows with different
        labels that the score puts in order, which for two labels is the ROC AUC.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels; NaN where not observed.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, if all tasks are binary.

        Returns
        -------
        float
            The mean area.
        """
        inner = self._inner()
        kinds = kinds_to_read(inner, self._names())
        if kinds is None:
            return mean_area(y, self.decision_function(X), sample_weight)
        if sample_weight is not None:
            raise ValueError("sample_weight needs tasks that are all binary.")
        numbers = read_mixed(inner, y, kinds, refits=False)
        scorer = get_task_scorer("pair_accuracy")
        found: float = scorer.of_fused(numbers, {})(self.decision_function(X))
        return found

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
        return tags_of_inner(tags, inner)

    def _sk_visual_block_(self) -> VisualBlock:
        estimator = getattr(self, "estimator_", self.estimator)
        return VisualBlock(
            "serial",
            [estimator],
            names=[type(estimator).__name__],
            name_details=[str(estimator)],
            dash_wrapped=False,
        )
