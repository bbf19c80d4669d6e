"""Calibration of every task of a multioutput classifier."""

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmtl._containers import check_in_memory, same_rows
from skmtl._saving import MetaSaveMixin
from skmtl._sklearn import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    RealNotInt,
    StrOptions,
    _fit_context,
    _routing_enabled,
    with_callbacks,
)
from skmtl._splits import check_splits
from skmtl._task_output import TaskOutputMixin
from skmtl._typing import AnyArray, RandomStateLike
from skmtl._warnings import warn
from skmtl.calibration._maps import MAPS, CalibrationMap, IdentityMap
from skmtl.metrics import get_task_scorer
from skmtl.metrics._predictions import (
    binary_columns,
    check_same_tasks,
    expected_table,
    final_estimator,
    kinds_to_read,
    task_names_of,
)
from skmtl.metrics._validation import Labels, check_labels
from skmtl.output_weights._base import (
    check_has_probabilities,
    fit_router,
    mean_area,
    read_labels,
    read_mixed,
    tags_of_inner,
)
from skmtl.output_weights._held_out import (
    FoldFits,
    HeldOut,
    check_fits_folds,
    check_used,
    find_splitter,
    fit_in,
    labels_to_split,
    predict_prefit,
    without_routing,
)
from skmtl.output_weights._tables import task_table
from skmtl.output_weights._terms import TaskColumns
from skmtl.tasks import (
    BinaryTask,
    TaskKind,
    TaskKinds,
    check_sample_weight,
    task_names,
)


def _has_probabilities(owner: "CalibratedTasksCV") -> bool:
    """Whether the inner estimator has them; its own error says why not."""
    inner = getattr(owner, "estimator_", owner.estimator)
    return bool(inner.predict_proba)


class CalibratedTasksCV(
    TaskOutputMixin,
    MetaSaveMixin,
    CallbackSupportMixin,
    ClassifierMixin,
    MetaEstimatorMixin,
    BaseEstimator,
):
    """Calibrate the probability of every task on rows left out of training.

    The estimator is fitted once for each fold. For each task, a map from predicted to
    calibrated probabilities is fitted to the held-out rows of all folds. The final
    estimator is fitted on all rows.

    Parameters
    ----------
    estimator : estimator with ``predict_proba``, or a ranker with other tasks
        A multioutput classifier: a ranker of this package, a scikit-learn classifier
        that takes a table of labels, ``MultiOutputClassifier``, or a pipeline of one.
    method : {"sigmoid", "isotonic", "prior_shift"}, default="sigmoid"
        The map of the log-odds of a task:

        - "sigmoid": logistic regression on the log-odds (Platt), with two parameters
          for each task;
        - "isotonic": any increasing map; needs about a thousand positives of a task;
        - "prior_shift": a constant is added to the log-odds, so that the mean is the
          observed rate. The order of the rows does not change. Use it for tasks with
          few positives.
    cv : int, float, splitter, iterable or "prefit", default=None
        None is five folds. With several tasks, or labels not observed, an int or None
        uses :class:`skmtl.model_selection.MultiTaskStratifiedKFold`. A float is the
        share of rows of one random hold-out. "prefit": the estimator is already fitted,
        and is calibrated on all rows, which must not be those that it was fitted on.
    n_jobs : int, default=None
        Number of processes that fit folds. None means 1, -1 all cores. It must be None
        if `cv` is "prefit", which fits none.
    random_state : int, RandomState instance or None, default=None
        Controls the hold-out of a float `cv`.

    Attributes
    ----------
    estimator_ : estimator
        The fitted inner estimator.
    calibration_maps_ : list of callable or None
        The map of each task, from probabilities to probabilities; None for a task that
        is not binary.
    task_names_ : ndarray of shape (n_tasks,)
        Names of the tasks: ``task_names_`` of the inner estimator, else the columns of
        `y`, else ``"0"``, ``"1"``, ….
    classes_ : ndarray or list of ndarray
        The two classes of one task, or ``[0, 1]`` for each of several.
    n_features_in_ : int
        Number of features, if the inner estimator has it.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of features, if the inner estimator has them.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : Calibrates one task.
    skmtl.metrics.expected_calibration_error : Measure of miscalibration.

    Notes
    -----
    For one task this is ``CalibratedClassifierCV(ensemble=False)`` of a classifier
    whose ``decision_function`` is the log-odds. For a classifier without one,
    scikit-learn fits the sigmoid to the probability itself, which cannot represent the
    identity and so changes even a calibrated classifier.

    A ranker may also have tasks that are not binary. They are not calibrated: what the
    ranker predicts for them is passed on.

    NaN labels are left out, for each task separately. A task with labels of only one
    class is not calibrated, with a warning.

    References
    ----------
    .. [1] J. Platt. Probabilistic outputs for support vector machines and comparisons
           to regularized likelihood methods. Advances in Large Margin Classifiers,
           1999.
    .. [2] B. Zadrozny and C. Elkan. Transforming classifier scores into accurate
           multiclass probability estimates. KDD 2002, section 3 (isotonic).
    .. [3] M. Saerens, P. Latinne and C. Decaestecker. Adjusting the outputs of a
           classifier to new a priori probabilities. Neural Computation 14(1), 2002,
           equation 2.4 (prior shift).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn.multioutput import MultiOutputClassifier
    >>> from skmtl.calibration import CalibratedTasksCV
    >>> from skmtl.metrics import log_loss
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2000, 1)).repeat(3, axis=1)  # naive Bayes counts thrice
    >>> y = (X[:, :2] + rng.normal(size=(2000, 2)) > [0, 1.5]).astype(int)
    >>> bayes = MultiOutputClassifier(GaussianNB())
    >>> for model in (bayes, CalibratedTasksCV(bayes)):
    ...     proba = model.fit(X[:1000], y[:1000]).predict_proba(X[1000:])
    ...     print(log_loss(y[1000:], proba).round(2))
    [0.72 0.48]
    [0.5  0.29]
    """

    _parameter_constraints: ClassVar[dict[str, object]] = {
        "estimator": [HasMethods(["fit"])],
        "method": [StrOptions(set(MAPS))],
        "cv": [
            "cv_object",
            StrOptions({"prefit"}),
            Interval(RealNotInt, 0.0, 1.0, closed="neither"),
        ],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        method: str = "sigmoid",
        cv: object = None,
        n_jobs: int | None = None,
        random_state: RandomStateLike = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: object, y: object, **params: object) -> Self:
        """Fit the folds and the maps of all tasks, then the estimator on all rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels: 1, 0, or NaN where the inner estimator accepts it; or of the kinds
            of tasks of a ranker.
        **params : dict
            Parameters of the inner estimator's ``fit``; with metadata routing, those
            that it requests. `sample_weight` also weights the rows that calibrate.

        Returns
        -------
        self : CalibratedTasksCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If labels or weights are not valid, or no task is binary.
        """
        check_fits_folds(self.cv, n_jobs=(self.n_jobs, None))
        check_in_memory(X, "X", "CalibratedTasksCV takes tables in memory")
        # `cv` may hold arrays, whose comparison with a string has no truth value.
        refits = not (isinstance(self.cv, str) and self.cv == "prefit")
        X, y = same_rows(X, y)
        kinds = kinds_to_read(self.estimator, task_names(y), refits=refits)
        mixed, classes, numbers = kinds is not None, None, None
        if kinds is None:
            check_has_probabilities(self.estimator, self, refits=refits)
            labels, classes = read_labels(y)
            columns = TaskColumns(labels.names, None)
        else:
            numbers = read_mixed(self.estimator, y, kinds, refits=refits)
            labels, names = numbers.binary, numbers.names
            columns = TaskColumns(names, numbers.kinds, only_binary=True)
            _require_binary(labels, columns)
        fit_params, split_params = self._routed(params)
        splitter = find_splitter(self.cv, y, labels, self.random_state, mixed=mixed)
        # A fitted estimator has an order of tasks, which may differ from that of `y`.
        if splitter is None and not mixed:
            labels = self._in_order(y, labels)
            columns = TaskColumns(labels.names, None)
        weight = check_sample_weight(
            params.get("sample_weight"),
            (len(labels), len(columns.tasks)),
            columns.tasks,
        )
        if weight is not None and weight.shape[1] > 1:
            # Only binary tasks are calibrated; labels of the others are not in
            # `labels`.
            weight = weight[:, [columns.tasks.index(name) for name in labels.names]]
        context = self._init_callback_context(max_subtasks=None)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        if splitter is None:
            check_used(fit_params, ["sample_weight"])
            held_out = predict_prefit(self.estimator, X, columns, len(labels))
        else:
            to_split = labels_to_split(splitter, y, numbers)
            found = splitter.split(X, to_split, **split_params)
            splits = check_splits(found, len(labels))
            contexts = [context.subcontext(task_name="fold") for _ in splits]
            fits = FoldFits(self.estimator, columns, fit_params, "raise", self)
            held_out = fits.run(X, y, splits, contexts, self.n_jobs)
        maps = _fit_maps(self.method, labels, held_out, weight)
        fitted = self.estimator
        if splitter is not None:
            sub = context.subcontext(task_name="refit")
            fitted = fit_in(sub, self, clone(self.estimator), X, y, fit_params)
        by_name = dict(zip(labels.names, maps, strict=True))
        of_tasks = [by_name.get(name) for name in columns.tasks]
        self._set_fitted(fitted, of_tasks, columns.tasks, classes, mixed=mixed)
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    def _routed(
        self, params: dict[str, object]
    ) -> tuple[dict[str, object], dict[str, object]]:
        """Distribute metadata to the inner estimator and the splitter."""
        if _routing_enabled():
            routed = process_routing(self, "fit", **params)
            splitter = getattr(routed, "splitter", None)
            return routed.estimator.fit, {} if splitter is None else splitter.split
        return without_routing(self.estimator, params)

    def _in_order(self, y: object, labels: Labels) -> Labels:
        """Put the labels in the order of a fitted estimator's tasks."""
        names = task_names_of(self.estimator)
        if names is None or labels.one_dimensional:
            return labels
        # Tasks of an array only have numbers and are matched by position.
        if names != [str(task) for task in range(len(names))]:
            check_same_tasks(y, names)
        return check_labels(y, names)

    def _set_fitted(
        self,
        fitted: BaseEstimator,
        maps: list[CalibrationMap | None],
        names: list[str],
        classes: AnyArray | list[AnyArray] | None,
        *,
        mixed: bool,
    ) -> None:
        self.estimator_ = fitted
        self.calibration_maps_ = maps
        self.task_names_ = np.array(task_names_of(fitted) or names, dtype=object)
        self.classes_ = classes
        if mixed:
            self.classes_ = fitted.classes_
        elif classes is None:
            self.classes_ = [np.array([0, 1]) for _ in names]
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    @property
    def task_kinds_(self) -> list[TaskKind]:
        """Kinds of the tasks of the inner estimator, if it has them."""
        if not hasattr(self, "estimator_"):
            # `hasattr` is then False, as for an estimator without kinds of tasks.
            raise AttributeError("CalibratedTasksCV is not fitted yet.")
        kinds: list[TaskKind] = final_estimator(self.estimator_)[0].task_kinds_
        return kinds

    def _mixed_kinds(self) -> list[TaskKind] | None:
        """Kinds of the tasks; None if all are binary."""
        check_is_fitted(self)
        return kinds_to_read(self.estimator_, list(self.task_names_))

    def predict_task(self, X: object) -> Any:
        """Estimate the expected label of every task, of binary tasks calibrated.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Calibrated probabilities of binary tasks, and of all others what
            ``predict_task`` of the ranker gives. A DataFrame under
            ``set_output(transform="pandas")``, whatever the inner estimator's is.
        """
        kinds = self._mixed_kinds()
        if kinds is None:
            return self.predict_task_proba(X)
        names = TaskKinds(kinds).column_names(self.task_names_)
        return self._in_container(self._expected(X, kinds), names, X)

    def _expected(self, X: object, kinds: list[TaskKind]) -> np.ndarray:
        table = expected_table(self.estimator_, X, list(self.task_names_), kinds)
        table = table.copy()
        maps = [one for one in self.calibration_maps_ if one is not None]
        # Tasks that are not binary have None in place of a map.
        for column, calibrate in zip(binary_columns(kinds), maps, strict=True):
            table[:, column] = calibrate(table[:, column])
        return table

    def predict_task_proba(self, X: object) -> Any:
        """Estimate the calibrated probability of a positive label for every task.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, n_tasks)
            Probabilities. A DataFrame with the tasks as columns under
            ``set_output(transform="pandas")``.

        Raises
        ------
        ValueError
            If a task is not binary: use `predict_task`.
        """
        kinds = self._mixed_kinds() or ()  # none are named if all tasks are binary
        for name, kind in zip(self.task_names_, kinds, strict=False):
            if not isinstance(kind, BinaryTask):
                raise ValueError(
                    f"Task {name!r} is of kind {kind.name} and has no single "
                    "probability. Use predict_task."
                )
        return self._in_container(self._probabilities(X), list(self.task_names_), X)

    def _probabilities(self, X: object) -> np.ndarray:
        """Calibrated probabilities of tasks that all are binary."""
        table = task_table(self.estimator_, X, len(self.task_names_))
        maps = [one for one in self.calibration_maps_ if one is not None]
        columns = zip(maps, table.T, strict=True)
        return np.column_stack([calibrate(column) for calibrate, column in columns])

    @available_if(_has_probabilities)
    def predict_proba(self, X: object) -> Any:
        """Estimate calibrated probabilities.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, 2), or list of such arrays
            For one task an array, for several a list with an array for each; of other
            tasks than binary ones, as the inner estimator gives it.
        """
        kinds = self._mixed_kinds()
        if kinds is not None:
            proba = list(self.estimator_.predict_proba(X))
            for task, calibrate in enumerate(self.calibration_maps_):
                if calibrate is not None:
                    p = calibrate(proba[task][:, 1])
                    proba[task] = np.column_stack([1 - p, p])
            return proba
        both = [np.column_stack([1 - p, p]) for p in self._probabilities(X).T]
        return both if isinstance(self.classes_, list) else both[0]

    def predict(self, X: object) -> np.ndarray:
        """Predict the more probable label, or the mean of a regression.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels.
        """
        kinds = self._mixed_kinds()
        if kinds is not None:
            labels: np.ndarray = np.array(self.estimator_.predict(X))
            calibrated = self._expected(X, kinds)
            own = [t for t, kind in enumerate(kinds) if isinstance(kind, BinaryTask)]
            positive = calibrated[:, binary_columns(kinds)] > 0.5
            # An array of objects would keep True and False.
            labels[:, own] = positive.astype(np.int64)
            return labels
        positive = (self._probabilities(X) > 0.5).astype(np.int64)
        if isinstance(self.classes_, list):
            return positive
        assert self.classes_ is not None
        found: np.ndarray = self.classes_[positive[:, 0]]
        return found

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return the ROC AUC, averaged over the binary tasks.

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
        kinds = self._mixed_kinds()
        if kinds is None:
            return mean_area(y, self._probabilities(X), sample_weight)
        numbers = read_mixed(self, y, kinds, refits=False)
        proba = self._expected(X, kinds)[:, binary_columns(kinds)]
        scorer = get_task_scorer("auc")
        area: float = scorer.evaluate(
            numbers.binary, proba, sample_weight=sample_weight
        )
        return area

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of metadata to the inner estimator and the splitter.

        Returns
        -------
        MetadataRouter
            The routing.
        """
        return fit_router(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.classifier_tags.multi_class = False
        if inner.classifier_tags is not None:
            tags.classifier_tags.multi_label = inner.classifier_tags.multi_label
        tags.target_tags.multi_output = inner.target_tags.multi_output
        tags.target_tags.single_output = inner.target_tags.single_output
        tags.input_tags = inner.input_tags
        return tags_of_inner(tags, inner)


def _require_binary(labels: Labels, columns: TaskColumns) -> None:
    if not labels.n_tasks:
        kinds = {kind.name for kind in columns.kinds or ()}
        raise ValueError(
            "CalibratedTasksCV calibrates probabilities of binary tasks, but the tasks "
            f"{columns.tasks} are of the kinds {sorted(kinds)}. Use the ranker itself: "
            "its mean prediction of a task is the mean of the training labels."
        )


def _fit_maps(
    method: str, labels: Labels, held_out: list[HeldOut], weight: np.ndarray | None
) -> list[CalibrationMap]:
    """Fit the map of each task to the held-out rows."""
    # Rows that no fold leaves out are missing here, and do not calibrate.
    rows = np.concatenate([part.rows for part in held_out])
    proba = np.concatenate([part.proba for part in held_out if part.proba is not None])
    maps = []
    for task, name in enumerate(labels.names):
        seen = np.ones(len(rows), dtype=bool)
        if labels.observed is not None:
            seen = labels.observed[task][rows]
        w = None
        if weight is not None:
            # One column of weights is for all tasks.
            w = weight[rows, task if weight.shape[1] > 1 else 0]
            seen &= w > 0
            w = w[seen]
        y = labels.positive[task][rows[seen]]
        if y.any() and not y.all():
            maps.append(MAPS[method]().fit(proba[seen, task], y, w))
            continue
        warn(
            f"Task {name!r} has {int(y.sum())} positives among {len(y)} labels of the "
            "held-out rows, so it cannot be calibrated. Its probabilities are left "
            "unchanged."
        )
        maps.append(IdentityMap())
    return maps
