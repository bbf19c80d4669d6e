"""An estimator that ranks by given output weights."""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    process_routing,
)

from skmtl._sklearn import _fit_context, _routing_enabled
from skmtl._typing import WeightsLike
from skmtl.metrics._validation import named_values
from skmtl.output_weights._base import (
    BaseOutputWeights,
    check_can_fuse,
    fit_router,
    read_labels,
)
from skmtl.output_weights._fusion import check_weights


class FixedOutputWeights(BaseOutputWeights):
    """Classifier for several tasks that ranks by a fused score with given weights.

    Parameters
    ----------
    estimator : estimator with ``predict_proba``
        A multioutput classifier: a ranker of this package, a scikit-learn classifier
        that takes a table of labels, ``MultiOutputClassifier``, or a pipeline of one.
        If it is already fitted, this estimator can be used without `fit`.
    weights : array-like of shape (n_tasks,) or mapping, default=None
        Output weights, by task if a mapping, see :func:`fuse`; None: all equal.
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
            Labels: 1, 0, or NaN where the inner estimator accepts it.
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
            If labels or weights are not valid, or a task is not binary; then nothing
            is fitted.
        """
        check_can_fuse(self.estimator, self, refits=True)
        labels, _ = read_labels(y)
        # Weights by name are checked later: the fitted inner estimator names the tasks.
        if not isinstance(named_values(self.weights), Mapping):
            self._output_weights_checked(labels.names)
        if _routing_enabled():
            params = process_routing(self, "fit", **params).estimator.fit
        fitted = clone(self.estimator).fit(X, y, **params)
        self._set_inner(fitted, labels)
        self._output_weights_checked(list(self.task_names_))
        return self

    def _output_weights(self, names: list[str]) -> WeightsLike:
        return np.ones(len(names)) if self.weights is None else self.weights

    def _output_weights_checked(self, names: list[str]) -> np.ndarray:
        return check_weights(self._output_weights(names), names)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of metadata to the inner estimator.

        Returns
        -------
        MetadataRouter
            The routing.
        """
        return fit_router(self)
