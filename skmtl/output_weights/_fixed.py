"""An estimator that ranks by given output weights."""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    process_routing,
)

from skmtl._sklearn import _fit_context, _routing_enabled
from skmtl._typing import WeightsLike
from skmtl.metrics._predictions import kinds_to_read, task_names_of
from skmtl.metrics._validation import named_values
from skmtl.output_weights._base import (
    BaseOutputWeights,
    check_has_probabilities,
    fit_router,
    read_labels,
    read_mixed,
)
from skmtl.output_weights._fusion import fuse_columns, weighted_terms
from skmtl.output_weights._terms import TaskColumns, check_log_odds
from skmtl.tasks import task_names


class FixedOutputWeights(BaseOutputWeights):
    """Classifier for several tasks that ranks by a fused score with given weights.

    Parameters
    ----------
    estimator : estimator with ``predict_proba``, or a ranker with other tasks
        A multioutput classifier: a ranker of this package, a scikit-learn classifier
        that takes a table of labels, ``MultiOutputClassifier``, or a pipeline of one.
        If it is already fitted, this estimator can be used without `fit`.
    weights : array-like of shape (n_tasks,) or mapping, default=None
        Output weights, by task if a mapping, see :func:`fuse`; None: all equal. If some
        tasks are not binary, weights multiply the columns of ``predict_task``, and keys
        of a mapping may be tuples of tasks, whose columns are multiplied. None then
        needs another `method` than "sum", since the columns have different units.
    method : {"sum", "product", "rank", "logit"}, default="sum"
        How to fuse, see :func:`fuse`.

    Attributes
    ----------
    estimator_ : estimator
        The fitted inner estimator.
    task_names_ : ndarray of shape (n_tasks,)
        Names of the tasks: ``task_names_`` of the inner estimator, else the columns of
        `y`, else ``"0"``, ``"1"``, ….
    classes_ : ndarray or list of ndarray
        Classes of the inner estimator.
    n_features_in_ : int
        Number of features, if the inner estimator has them.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of features, if the inner estimator has them.

    See Also
    --------
    OutputWeightSearchCV : Find the weights without a refit for each candidate.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skmtl.output_weights import FixedOutputWeights
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> y = (X[:, :2] + rng.normal(size=(200, 2)) > 0).astype(int)
    >>> forest = RandomForestClassifier(20, random_state=0)
    >>> ranker = FixedOutputWeights(forest, weights=[1, 3]).fit(X, y)
    >>> ranker.decision_function(X[:3]).shape
    (3,)
    """

    _parameter_constraints: ClassVar[dict[str, object]] = {
        **BaseOutputWeights._parameter_constraints,
        "weights": ["array-like", Mapping, None],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        weights: WeightsLike = None,
        method: str = "sum",
    ) -> None:
        self.estimator = estimator
        self.weights = weights
        self.method = method

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: object, y: object, **params: object) -> Self:
        """Fit the inner estimator.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels: 1, 0, or NaN where the inner estimator accepts it; or of the kinds
            of tasks of a ranker.
        **params : dict
            Parameters of the inner estimator's ``fit``; with metadata routing, those
            that it requests.

        Returns
        -------
        self : FixedOutputWeights
            The fitted estimator.

        Raises
        ------
        ValueError
            If labels or weights are not valid; if that is known beforehand, nothing is
            fitted.
        """
        names = task_names(y)
        kinds = kinds_to_read(self.estimator, names, refits=True)
        if kinds is None:
            check_has_probabilities(self.estimator, self, refits=True)
            names = read_labels(y)[0].names
        else:
            numbers = read_mixed(self.estimator, y, kinds, refits=True)
            names, kinds = numbers.names, numbers.kinds
            if self.method == "logit":
                columns = TaskColumns(names, kinds)
                weights = self._output_weights(columns)
                check_log_odds(weighted_terms(weights, columns.names)[0], numbers)
        # Weights by name are checked later: the fitted inner estimator names the tasks.
        if not isinstance(named_values(self.weights), Mapping):
            self._check_weights(TaskColumns(names, kinds))
        if _routing_enabled():
            params = process_routing(self, "fit", **params).estimator.fit
        fitted = clone(self.estimator).fit(X, y, **params)
        names = task_names_of(fitted) or names
        self._check_weights(TaskColumns(names, kinds_to_read(fitted, names)))
        self._set_inner(fitted, names)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it predicts, so that a pipeline that ends with it does too."""
        try:
            self._inner()
        except NotFittedError:
            return False
        return True

    def _output_weights(self, columns: TaskColumns) -> object:
        if self.weights is not None:
            named = named_values(self.weights)
            if isinstance(named, Mapping):
                columns.read_terms(named, "weights")
            return self.weights
        if columns.kinds is not None and self.method == "sum":
            example = dict.fromkeys(columns.names, 1)
            raise ValueError(
                f"weights=None adds the predictions of the tasks {columns.tasks}, "
                "which are of several kinds and have different units. Pass weights, "
                f"such as weights={example}, or method='rank'."
            )
        return dict.fromkeys(columns.default_terms(), 1.0)

    def _check_weights(self, columns: TaskColumns) -> None:
        """Raise for weights that do not fit the columns."""
        one_row = np.full((1, len(columns.names)), 0.5)
        fuse_columns(one_row, columns.names, self._output_weights(columns), "rank")

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of metadata to the inner estimator.

        Returns
        -------
        MetadataRouter
            The routing.
        """
        return fit_router(self)
