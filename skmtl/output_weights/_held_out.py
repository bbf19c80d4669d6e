"""Which rows train and which judge, and the probabilities of those that judge."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit, check_cv
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skmtl._sklearn import params_of_rows, rows_of
from skmtl.metrics._labels import Labels
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.output_weights._base import task_table


def find_splitter(cv: Any, y: Any, labels: Labels, random_state: Any) -> Any:
    """A splitter; None for a fitted estimator."""
    if isinstance(cv, str):
        return None
    one = labels.one_dimensional or labels.n_tasks == 1
    complete = labels.observed is None
    if isinstance(cv, Real) and not isinstance(cv, Integral):
        stratified = one and complete
        kind = StratifiedShuffleSplit if stratified else ShuffleSplit
        return kind(1, test_size=cv, random_state=random_state)
    if cv is None or isinstance(cv, Integral):
        n_splits = 5 if cv is None else int(cv)
        if not (one and complete):
            return MultiTaskStratifiedKFold(n_splits)
    return check_cv(cv, y=y if one and complete else None, classifier=one and complete)


@dataclass
class Judged:
    """Rows that judge, and their probabilities ``(n_rows, n_tasks)``."""

    rows: np.ndarray
    proba: np.ndarray
    estimator: Any


def judge_prefit(estimator: Any, X: Any, n_tasks: int, n: int) -> list[Judged]:
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise NotFittedError(
            "cv='prefit' needs a fitted estimator: fit it on other rows first."
        ) from error
    return [Judged(np.arange(n), task_table(estimator, X, n_tasks), estimator)]


def judge_folds(
    estimator: Any,
    X: Any,
    y: Any,
    n_tasks: int,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    params: Mapping[str, Any],
    n_jobs: Any,
    contexts: Sequence[Any],
    caller: Any,
) -> list[Judged]:
    """Fit once for each split and predict the rows left out."""
    found: list[Judged] = Parallel(n_jobs=n_jobs)(
        delayed(_fit_fold)(
            clone(estimator), X, y, n_tasks, train, test, params, context, caller
        )
        for (train, test), context in zip(splits, contexts, strict=True)
    )
    return found


def _fit_fold(
    estimator: Any,
    X: Any,
    y: Any,
    n_tasks: int,
    train: np.ndarray,
    test: np.ndarray,
    params: Mapping[str, Any],
    context: Any,
    caller: Any,
) -> Judged:
    fit_params = params_of_rows(X, params, indices=train)
    X_train, y_train = rows_of(X, train), rows_of(y, train)
    fit_in(context, caller, estimator, X_train, y_train, fit_params)
    table = task_table(estimator, rows_of(X, test), n_tasks)
    return Judged(np.asarray(test), table, estimator)


def fit_in(
    context: Any, caller: Any, estimator: Any, X: Any, y: Any, params: Mapping[str, Any]
) -> Any:
    """Fit under a callback context of its own, so that its progress is shown nested."""
    takes_callbacks = hasattr(estimator, "set_callbacks")
    shared = context.propagate_callback_context(estimator) if takes_callbacks else None
    with shared or nullcontext():
        context.call_on_fit_task_begin(estimator=caller, X=X, y=y)
        estimator.fit(X, y, **params)
    context.call_on_fit_task_end(estimator=caller, X=X, y=y)
    return estimator
