"""OutOfFoldScores: scores of boosted trees as features of a network."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import ClassifierTags, Tags, check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skmtl._containers import (
    as_frame,
    check_in_memory,
    check_same_length,
    has_names,
    n_rows_of,
    select_columns,
    to_native,
)
from skmtl._sklearn import HasMethods, Interval, StrOptions, _fit_context
from skmtl._typing import CategoricalFeatures, TableLike
from skmtl.encoding import TableEncoder
from skmtl.stacking._cross_fitting import (
    MAX_CATEGORIES,
    Floats,
    Fold,
    as_categories,
    find_folds,
    fit_model,
    log_odds,
    make_classifier,
)
from skmtl.tasks import Targets, check_sample_weight, check_targets


class OutOfFoldScores(TransformerMixin, BaseEstimator):
    """Append the scores of boosted trees, one for each task, to a table.

    Trees find interactions of ordinary columns for which a network needs many rows. A
    network learns from ids, and shares between tasks. A ranker that reads the log-odds
    of trees as additional columns combines both.

    The scores of training rows come from models that have not seen them:
    `fit_transform` fits a model for each task and fold, and each row is scored by the
    model of the fold that it was left out of. New rows, given to `transform`, are
    scored by all models of a task.

    Parameters
    ----------
    estimator : {"hist_gradient_boosting", "lightgbm"} or classifier, \
default="hist_gradient_boosting"
        The model of the scores: scikit-learn's ``HistGradientBoostingClassifier``,
        LightGBM's ``LGBMClassifier``, which is faster but needs the package, or your
        own classifier with ``predict_proba``. It is fitted to a table of numbers, NaN
        where missing, and of columns of dtype ``category`` for ids.
    cv : int, splitter or list, default=5
        Folds. An integer is the number of folds of a shuffled
        :class:`~skmtl.model_selection.MultiTaskStratifiedKFold`. A splitter such as
        ``GroupKFold`` gets the `groups` of `fit`; a list holds pairs of indices. No row
        may be in two test parts. Rows that are in none, such as the first ones of
        ``TimeSeriesSplit``, have NaN scores.
    refit : bool or "auto", default="auto"
        How new rows are scored. With False, by the mean log-odds of the models of the
        folds. With True, by one more model for each task, which is fitted to all rows.
        "auto" means True if some row is in no test part, since the first models were
        then fitted to a small part of the rows.
    passthrough : bool, default=True
        Whether the columns of `X` are in the output too, before the scores.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold ids, as for a ranker. The 254 most frequent ids of each are
        categories; all others form one more. Lists of ids are reduced to their length.
    n_jobs : int or None, default=None
        Number of processes that fit models. None means 1, -1 all cores.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and models.

    Attributes
    ----------
    estimators_ : list of list
        For each task, its models: those of the folds, or the one that was fitted to all
        rows. None stands for a model that had labels of only one class; its score is
        the log-odds of the task's prior.
    encoder_ : TableEncoder
        Turns ids into categories.
    prior_ : ndarray of shape (n_tasks,)
        Rate of positives among observed labels.
    task_names_ : ndarray of shape (n_tasks,), dtype object
        Columns of `y`, or ``"0"``, ``"1"``, …
    n_features_in_ : int
        Columns of `X`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where all are strings.

    See Also
    --------
    sklearn.ensemble.StackingClassifier : Cross-fitted scores of one task.
    sklearn.preprocessing.TargetEncoder : Cross-fitted rates of categories.

    Notes
    -----
    As in ``TargetEncoder``, ``fit(X, y).transform(X)`` differs from
    ``fit_transform(X, y)``: the former scores rows by models that were fitted to them,
    so the scores are too optimistic. Train a ranker on the latter, as a pipeline does.

    The trees read all columns, also those that a ranker's ``bias_features`` names: the
    scores then depend on the position, and tables to score need it. Leave such columns
    out of `X`, and append them to the output.

    An estimator is fitted for each task and fold, so the cost is that of
    ``n_splits * n_tasks`` boosted models. When serving, they predict one after the
    other.

    Files of :func:`skmtl.save` and :func:`skmtl.export.to_onnx` cannot hold trees:
    pickle a pipeline with this transformer, or use skops.

    References
    ----------
    D. H. Wolpert, "Stacked generalization", Neural Networks 5, 1992, section 2.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmtl import MMoE
    >>> from skmtl.datasets import make_funnel
    >>> from skmtl.stacking import OutOfFoldScores
    >>> log = make_funnel(3000, cart_rate=0.05, order_rate=0.02, random_state=0)
    >>> X, y = log.data, log.target[["click", "order"]]
    >>> scores = OutOfFoldScores(cv=3, random_state=0)
    >>> model = make_pipeline(scores, MMoE(max_iter=1, random_state=0)).fit(X, y)
    >>> model[:-1].transform(X[:2]).columns[-2:].tolist()
    ['score_click', 'score_order']
    """

    _parameter_constraints: ClassVar[dict[str, object]] = {
        "estimator": [
            StrOptions({"hist_gradient_boosting", "lightgbm"}),
            HasMethods(["fit", "predict_proba"]),
        ],
        "cv": [
            Interval(Integral, 2, None, closed="left"),
            HasMethods("split"),
            list,
        ],
        "refit": ["boolean", StrOptions({"auto"})],
        "passthrough": ["boolean"],
        "categorical_features": TableEncoder._parameter_constraints[
            "categorical_features"
        ],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: object = "hist_gradient_boosting",
        *,
        cv: object = 5,
        refit: bool | str = "auto",
        passthrough: bool = True,
        categorical_features: CategoricalFeatures = "from_dtype",
        n_jobs: int | None = None,
        random_state: object = None,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.refit = refit
        self.passthrough = passthrough
        self.categorical_features = categorical_features
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X: TableLike,
        y: object,
        sample_weight: object = None,
        groups: object = None,
    ) -> Self:
        """Fit the models of all tasks and folds.

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
        self : OutOfFoldScores
            The fitted transformer.
        """
        self.fit_transform(X, y, sample_weight, groups)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_transform(
        self,
        X: TableLike,
        y: object,
        sample_weight: object = None,
        groups: object = None,
    ) -> pd.DataFrame:
        """Fit, and score each row by a model that has not seen it.

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
        DataFrame of shape (n_samples, n_features + n_tasks)
            The columns of `X`, if `passthrough`, and ``score_<task>``: log-odds, NaN
            for rows that no test part contains.

        Raises
        ------
        ValueError, TypeError
            For tables and labels that a ranker would refuse, for a column of `X`
            named like a score, and for folds with a row in two test parts.
        """
        _check_table(X)
        targets = check_targets(y)
        X = to_native(X)
        check_same_length(X=n_rows_of(X), y=len(targets.labels))
        given = check_sample_weight(sample_weight, targets.labels.shape, targets.names)
        weight = targets.observed * (np.ones(1) if given is None else given)
        encoder = TableEncoder(
            self.categorical_features, max_categories=MAX_CATEGORIES, n_bins=0
        ).fit(X)
        rng = check_random_state(self.random_state)
        seeds = rng.randint(2**31 - 1, size=2)
        frame = as_frame(X, estimator=self)
        folds, tested = find_folds(self.cv, frame, targets, groups, int(seeds[0]))
        refit = not tested.all() if self.refit == "auto" else bool(self.refit)
        columns = list(frame.columns)
        self._check_names(columns, targets)
        table = as_categories(encoder, X)
        models = self._fit_models(table, targets, weight, folds, int(seeds[1]), refit)
        # Without an observed label there is no rate.
        self.prior_ = np.nan_to_num(targets.means(weight), nan=0.5)
        scores = np.full(targets.labels.shape, np.nan)
        for task, of_task in enumerate(models):
            # With `refit`, the last model has no fold.
            for (_, test), model in zip(folds, of_task, strict=False):
                scores[test, task] = log_odds(
                    model, table.iloc[test], self.prior_[task]
                )
        self.estimators_ = [one[len(folds) :] if refit else one for one in models]
        self.encoder_, self.task_names_ = encoder, targets.names
        self._named, self._columns = has_names(X), columns
        self.n_features_in_ = encoder.n_features_in_
        if hasattr(encoder, "feature_names_in_"):
            self.feature_names_in_ = encoder.feature_names_in_
        return self._joined(X, scores)

    def transform(self, X: TableLike) -> pd.DataFrame:
        """Score new rows.

        Parameters
        ----------
        X : table or array-like of shape (n_samples, n_features)
            Rows that `fit` has not seen.

        Returns
        -------
        DataFrame of shape (n_samples, n_features + n_tasks)
            The columns of `X`, if `passthrough`, and ``score_<task>``: log-odds.
        """
        check_is_fitted(self)
        _check_table(X)
        X = to_native(X)
        table = as_categories(self.encoder_, X)
        scores = [
            np.mean([log_odds(model, table, prior) for model in of_task], axis=0)
            for of_task, prior in zip(self.estimators_, self.prior_, strict=True)
        ]
        return self._joined(X, np.column_stack(scores))

    def get_feature_names_out(
        self, input_features: object = None
    ) -> npt.NDArray[np.object_]:
        """Return the names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : object
            Ignored.

        Returns
        -------
        ndarray of shape (n_features + n_tasks,), dtype object
            The names.
        """
        check_is_fitted(self)
        names = _score_names(self.task_names_)
        if self.passthrough:
            names = [*_texts(self._columns), *names]
        return np.asarray(names, dtype=object)

    def _fit_models(
        self,
        table: pd.DataFrame,
        targets: Targets,
        weight: Floats,
        folds: list[Fold],
        seed: int,
        refit: bool,
    ) -> list[list[BaseEstimator | None]]:
        """Fit, for each task, the models of the folds, then that of all rows."""
        parts = [train for train, _ in folds]
        if refit:
            parts.append(np.arange(len(table)))
        tasks = range(len(targets.names))
        # One for each model, so that none depends on the order of fitting.
        seeds = np.random.RandomState(seed).randint(
            2**31 - 1, size=(len(tasks), len(parts))
        )
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_model)(
                make_classifier(self.estimator, int(seeds[task, k])),
                table.iloc[train],
                targets.labels[train, task],
                weight[train, task],
            )
            for task in tasks
            for k, train in enumerate(parts)
        )
        return [found[task * len(parts) :][: len(parts)] for task in tasks]

    def _check_names(self, columns: Sequence[object], targets: Targets) -> None:
        twice = set(_texts(columns)) & set(_score_names(targets.names))
        if twice and self.passthrough:
            raise ValueError(
                f"X has columns {sorted(twice)}, which are named like scores. Rename "
                "them."
            )

    def _joined(self, X: TableLike, scores: Floats) -> pd.DataFrame:
        """Return the columns of `fit`, if `passthrough`, and the scores."""
        frame = as_frame(X, estimator=self)
        names = _score_names(self.task_names_)
        found = pd.DataFrame(scores, columns=names, index=frame.index)
        if not self.passthrough:
            return found
        # If either table has no names, columns are matched by position.
        if self._named and has_names(X):
            frame = select_columns(frame, self._columns)
        return pd.concat([frame.set_axis(_texts(self._columns), axis=1), found], axis=1)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []  # scores are float64
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags


def _check_table(X: object) -> None:
    check_in_memory(X, "X", "OutOfFoldScores takes tables in memory")


def _score_names(tasks: npt.NDArray[np.object_]) -> list[str]:
    return [f"score_{name}" for name in tasks]


def _texts(columns: Sequence[object]) -> list[str]:
    """Return names of columns; ``x0``, as in scikit-learn, if they are not strings."""
    return [name if isinstance(name, str) else f"x{name}" for name in columns]
