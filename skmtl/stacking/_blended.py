"""BlendedRanker: the mean log-odds of a ranker and of boosted trees."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, check_random_state, get_tags
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skmtl._containers import check_in_memory, same_rows, to_native
from skmtl._messages import shown
from skmtl._sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
    rows_of,
)
from skmtl._task_output import TaskOutputMixin
from skmtl._typing import AnyArray, RandomStateLike, TableLike
from skmtl.encoding import TableEncoder
from skmtl.metrics._predictions import kinds_to_read
from skmtl.output_weights._base import mean_area
from skmtl.stacking._cross_fitting import (
    EDGE,
    MAX_CATEGORIES,
    Floats,
    Fold,
    as_categories,
    find_folds,
    fit_model,
    log_odds,
    make_classifier,
)
from skmtl.tasks import check_sample_weight, check_targets, task_names

# Up to this many rows, "auto" sets none aside, as with early stopping.
_FEW = 10_000

# What the weights and the constant of a task are before rows are seen, as the mean and
# the precision of a normal distribution: with few positives the plain mean stays.
_MEAN, _PRECISION = np.array([0.5, 0.5, 0.0]), np.array([10.0, 10.0, 100.0])


class BlendedRanker(
    TaskOutputMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator
):
    """Average the log-odds of a ranker and of boosted trees, for each task.

    A network and trees are wrong on different rows, so that their mean is often better
    than either, and than a network that reads the scores of trees
    (:class:`OutOfFoldScores`). Neither model knows the other. Of a long table, some
    rows are set aside: the ranker stops on them, and they find how much each model
    counts for a task.

    Parameters
    ----------
    ranker : ranker
        A ranker of this package whose tasks are binary.
    estimator : {"hist_gradient_boosting", "lightgbm"} or classifier, \
default="hist_gradient_boosting"
        The model that joins it, one for each task, as in :class:`OutOfFoldScores`.
    n_rankers : int, default=1
        Number of fits of the ranker, with different seeds. They count as their mean.
    cv : "auto", int, splitter or list, default="auto"
        The rows to set aside: the test rows of the last fold. An integer is the number
        of folds of a shuffled :class:`~skmtl.model_selection.MultiTaskStratifiedKFold`.
        For rows in the order of time use ``TimeSeriesSplit``; a list holds pairs of
        indices. "auto" is 20 above 10,000 rows. For fewer it sets none aside, since
        hundreds of rows cannot tell which model is better: both then count half.
    random_state : int, RandomState instance or None, default=None
        Seed of the split and of all models.

    Attributes
    ----------
    rankers_ : list of ranker
        The fitted rankers.
    estimators_ : list of classifier or None
        The model of each task; None for a task that had labels of only one class.
    coef_ : ndarray of shape (n_tasks, 2)
        Weights of the log-odds of the rankers and of the other model, at least 0.
    intercept_ : ndarray of shape (n_tasks,)
        What is added to the log-odds of each task.
    encoder_ : TableEncoder
        Turns ids into categories for the other models.
    prior_ : ndarray of shape (n_tasks,)
        Rate of positives among observed labels.
    classes_ : ndarray or list of ndarray
        The two classes of one task, or ``[0, 1]`` for each of several.
    task_names_ : ndarray of shape (n_tasks,), dtype object
        Columns of `y`, or ``"0"``, ``"1"``, …
    n_features_in_ : int
        Columns of `X`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where all are strings.

    See Also
    --------
    OutOfFoldScores : Scores of trees as columns that a ranker reads.
    sklearn.ensemble.VotingClassifier : The mean of several models for one task.

    Notes
    -----
    For a task with log-odds :math:`z_r` of the rankers and :math:`z_e` of the other
    model, the blend is

    .. math::

        z = a z_r + b z_e + c, \\qquad a, b \\ge 0.

    The three numbers are those of greatest posterior density on the rows set aside.
    Before these are seen, the weights are near 1/2 and the constant near 0.

    Trees have no row of unknown ids. Where most ids to come are new, compare with the
    ranker alone.

    Where `cv` sets rows aside, `validation_split` and `validation_fraction` of the
    ranker have no effect. Rankers that keep an order of probabilities, such as
    :class:`~skmtl.ESMM`, lose it in the mean.

    References
    ----------
    L. Breiman, "Stacked regressions", Machine Learning 24, 1996: weights that are not
    negative.

    Examples
    --------
    >>> from skmtl import MMoE
    >>> from skmtl.datasets import make_funnel
    >>> from skmtl.stacking import BlendedRanker
    >>> log = make_funnel(3000, cart_rate=0.05, order_rate=0.02, random_state=0)
    >>> X, y = log.data, log.target[["click", "order"]]
    >>> model = BlendedRanker(MMoE(max_iter=1), cv=5, random_state=0).fit(X, y)
    >>> model.predict_task_proba(X[:5]).shape
    (5, 2)
    """

    _parameter_constraints: ClassVar[dict[str, object]] = {
        "ranker": [HasMethods(["fit", "predict_task_proba"])],
        "estimator": [
            StrOptions({"hist_gradient_boosting", "lightgbm"}),
            HasMethods(["fit", "predict_proba"]),
        ],
        "n_rankers": [Interval(Integral, 1, None, closed="left")],
        "cv": [
            Interval(Integral, 2, None, closed="left"),
            StrOptions({"auto"}),
            HasMethods("split"),
            list,
        ],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        ranker: BaseEstimator,
        *,
        estimator: object = "hist_gradient_boosting",
        n_rankers: int = 1,
        cv: object = "auto",
        random_state: RandomStateLike = None,
    ) -> None:
        self.ranker = ranker
        self.estimator = estimator
        self.n_rankers = n_rankers
        self.cv = cv
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: TableLike,
        y: object,
        sample_weight: object = None,
        groups: object = None,
    ) -> Self:
        """Fit all models, and find their weights on rows set aside.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
            The table.
        y : array-like or DataFrame of shape (n_samples,) or (n_samples, n_tasks)
            Labels as for a ranker; NaN where not observed.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights of the rows, or of each row for each task.
        groups : array-like of shape (n_samples,), default=None
            Groups of the rows, for a splitter that asks for them.

        Returns
        -------
        self : BlendedRanker
            The fitted blend.

        Raises
        ------
        ValueError, TypeError
            For tables and labels that the ranker would refuse, and for tasks that are
            not binary.
        """
        check_in_memory(X, "X", "BlendedRanker takes tables in memory")
        if not has_fit_parameter(self.ranker, "X_val"):
            raise TypeError(
                "BlendedRanker takes a ranker, such as MMoE, which stops on the rows "
                f"set aside; found {type(self.ranker).__name__}. Put what surrounds "
                "the ranker, such as a calibration or a pipeline, around the blend."
            )
        if kinds_to_read(self.ranker, task_names(y), refits=True) is not None:
            raise ValueError(
                "BlendedRanker averages the log-odds of binary tasks, and "
                f"task_kinds={shown(self.ranker.task_kinds)} of the ranker names "
                "others. Use the ranker alone."
            )
        X, y = same_rows(X, y)
        targets = check_targets(y)
        labels = targets.labels.astype(np.float64)
        given = check_sample_weight(sample_weight, targets.labels.shape, targets.names)
        weight = targets.observed * (np.ones(1) if given is None else given)
        rng = check_random_state(self.random_state)
        seeds = [int(s) for s in rng.randint(2**31 - 1, size=2 + self.n_rankers)]
        cv = (20 if len(labels) > _FEW else None) if self.cv == "auto" else self.cv
        train, held_out = fold = np.arange(len(labels)), np.arange(0)
        if cv is not None:
            folds, _ = find_folds(cv, X, targets, groups, seeds[0])
            train, held_out = fold = folds[-1]
        rankers = self._fit_rankers(X, y, given, fold, seeds[2:])
        encoder = TableEncoder(
            self.ranker.categorical_features, max_categories=MAX_CATEGORIES, n_bins=0
        ).fit(X)
        table = as_categories(encoder, rows_of(X, train))
        models = self._fit_models(table, labels[train], weight[train], seeds[1])
        self.rankers_, self.estimators_, self.encoder_ = rankers, models, encoder
        # Without an observed label there is no rate.
        self.prior_ = np.nan_to_num(targets.means(weight), nan=0.5)
        self.task_names_, self.classes_ = targets.names, rankers[0].classes_
        self.n_features_in_ = encoder.n_features_in_
        if hasattr(encoder, "feature_names_in_"):
            self.feature_names_in_ = encoder.feature_names_in_
        found = np.tile(_MEAN, (labels.shape[1], 1))
        if len(held_out):
            outputs = self._log_odds(rows_of(X, held_out))
            own = labels[held_out].T, weight[held_out].T
            found = np.array([blend_of(*of) for of in zip(outputs, *own, strict=True)])
        self.coef_, self.intercept_ = found[:, :2], found[:, 2]
        return self

    def _fit_rankers(
        self,
        X: Any,
        y: Any,
        weight: Floats | None,
        fold: Fold,
        seeds: list[int],
    ) -> list[BaseEstimator]:
        """Fit to the first part of a fold, and stop on the second if it has rows."""
        if not len(fold[1]):
            return [
                clone(self.ranker).set_params(random_state=seed).fit(X, y, weight)
                for seed in seeds
            ]
        (Xs, ys) = ([rows_of(one, at) for at in fold] for one in (X, y))
        ws = [None if weight is None else weight[at] for at in fold]
        others = {"X_val": Xs[1], "y_val": ys[1], "sample_weight_val": ws[1]}
        return [
            clone(self.ranker)
            .set_params(random_state=seed)
            .fit(Xs[0], ys[0], ws[0], **others)
            for seed in seeds
        ]

    def _fit_models(
        self, table: pd.DataFrame, labels: Floats, weight: Floats, seed: int
    ) -> list[BaseEstimator | None]:
        """Fit the other model of each task."""
        tasks = range(labels.shape[1])
        seeds = np.random.RandomState(seed).randint(2**31 - 1, size=len(tasks))
        return [
            fit_model(
                make_classifier(self.estimator, int(seeds[task])),
                table,
                labels[:, task],
                weight[:, task],
            )
            for task in tasks
        ]

    def _log_odds(self, X: TableLike) -> list[Floats]:
        """For each task, the log-odds of the rankers and of the other model."""
        p = [np.asarray(one.predict_task_proba(X)) for one in self.rankers_]
        of_rankers = logit(np.clip(p, EDGE, 1 - EDGE)).mean(axis=0)
        table = as_categories(self.encoder_, X)
        return [
            np.column_stack([of_rankers[:, task], log_odds(model, table, prior)])
            for task, (model, prior) in enumerate(
                zip(self.estimators_, self.prior_, strict=True)
            )
        ]

    def predict_task_proba(self, X: TableLike) -> Any:
        """Estimate the probability of a positive label for every task.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, n_tasks)
            Probabilities. A DataFrame with the tasks as columns under
            ``set_output(transform="pandas")``, whatever the output of the ranker is.
        """
        found = self._probabilities(X)
        return self._in_container(found, list(self.task_names_), X)

    def _probabilities(self, X: TableLike) -> npt.NDArray[np.float64]:
        check_is_fitted(self)
        check_in_memory(X, "X", "BlendedRanker takes tables in memory")
        logits = [
            z @ coef + c
            for z, coef, c in zip(
                self._log_odds(to_native(X)), self.coef_, self.intercept_, strict=True
            )
        ]
        return np.asarray(expit(np.column_stack(logits)))

    def predict_proba(self, X: TableLike) -> Any:
        """Estimate the probability of each label.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, 2), or list of such arrays
            For one task an array, for several a list with an array for each.
        """
        both = [np.column_stack([1 - p, p]) for p in self._probabilities(X).T]
        return both if isinstance(self.classes_, list) else both[0]

    def predict(self, X: TableLike) -> AnyArray:
        """Predict the more probable label.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels.
        """
        positive = (self._probabilities(X) > 0.5).astype(np.int64)
        if isinstance(self.classes_, list):
            return positive
        found: AnyArray = self.classes_[positive[:, 0]]
        return found

    def score(self, X: TableLike, y: object, sample_weight: object = None) -> float:
        """Return the ROC AUC, averaged over the tasks.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
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
        return mean_area(y, self._probabilities(X), sample_weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.ranker)
        tags.classifier_tags, tags.target_tags = (
            inner.classifier_tags,
            inner.target_tags,
        )
        tags.input_tags = inner.input_tags
        return tags


def blend_of(z: Floats, y: Floats, weight: Floats) -> Floats:
    """Find the weights of two log-odds, and a constant, by maximum a posteriori."""
    seen = weight > 0
    z, w = np.column_stack([z[seen], np.ones(seen.sum())]), weight[seen]
    sign = np.where(y[seen] > 0, 1.0, -1.0)

    def loss(at: Floats) -> tuple[float, Floats]:
        margin, off = sign * (z @ at), at - _MEAN
        value = w @ np.logaddexp(0.0, -margin) + 0.5 * _PRECISION @ off**2
        return value, _PRECISION * off - z.T @ (w * sign * expit(-margin))

    bounds = [(0, None), (0, None), (None, None)]
    found = minimize(loss, _MEAN, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x)
