"""Held-out rows: how they are split off, and their probabilities."""

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Integral, Real
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedShuffleSplit,
    check_cv,
)
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skmtl._messages import shown
from skmtl._sklearn import CallbackContext, params_of_rows, rows_of
from skmtl._splits import check_splits
from skmtl._typing import RandomStateLike, Splitter
from skmtl.metrics._gains import Numbers
from skmtl.metrics._validation import Labels
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.output_weights._terms import TaskColumns


def find_splitter(
    cv: object,
    y: object,
    labels: Labels,
    random_state: RandomStateLike,
    *,
    mixed: bool = False,
) -> Splitter | None:
    """Return a splitter; None for a fitted estimator.

    If tasks are `mixed`, `labels` are those of the binary ones, of which there may be
    none.
    """
    # "prefit", the only string that the constraints allow.
    if isinstance(cv, str):
        return None
    one = not mixed and (labels.one_dimensional or labels.n_tasks == 1)
    complete = labels.observed is None
    if isinstance(cv, Real) and not isinstance(cv, Integral):
        # scikit-learn stratifies by one column of labels, all of them observed.
        stratified = one and complete
        kind = StratifiedShuffleSplit if stratified else ShuffleSplit
        return kind(1, test_size=cv, random_state=random_state)
    if cv is None or isinstance(cv, Integral):
        n_splits = 5 if cv is None else int(cv)
        if n_splits > len(labels):
            raise ValueError(
                f"cv={cv} asks for {n_splits} folds of {len(labels)} rows. Use fewer "
                "folds, or more rows."
            )
        if mixed and not labels.positive.any():
            return KFold(n_splits)
        if not (one and complete):
            return MultiTaskStratifiedKFold(n_splits)
    if not hasattr(cv, "split") and isinstance(cv, Iterable):
        cv = check_splits(cv, len(labels))
    return check_cv(cv, y=y if one and complete else None, classifier=one and complete)


def labels_to_split(splitter: Splitter, y: object, numbers: Numbers | None) -> object:
    """Return the `y` that a splitter gets: all tasks, or those that it can read."""
    if numbers is None or not isinstance(splitter, MultiTaskStratifiedKFold):
        return y
    return numbers.binary_table


def without_routing(
    estimator: BaseEstimator, params: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, object]]:
    """Return parameters of the inner estimator's fit, and of the splitter.

    Groups go to the splitter, and to the estimator if its fit takes them.
    """
    given = dict(params)
    groups = given.pop("groups", None)
    if groups is None:
        return given, {}
    if has_fit_parameter(estimator, "groups"):
        given["groups"] = groups
    return given, {"groups": groups}


def check_used(params: Mapping[str, object], used: Collection[str]) -> None:
    """Raise if parameters of an inner fit are given that ``cv="prefit"`` does not do.

    Parameters
    ----------
    params : mapping
        What would go to the fit.
    used : collection of str
        Those that have another use.

    Raises
    ------
    TypeError
        With the names of the others.
    """
    given = [name for name, value in params.items() if value is not None]
    unused = [name for name in given if name not in used]
    if unused:
        raise TypeError(
            f"fit got {unused}, which would go to the fit of the inner estimator, but "
            "with cv='prefit' nothing is fitted again. Remove them."
        )


def check_fits_folds(cv: object, **given: tuple[object, object]) -> None:
    """Raise for parameters of the fits of folds if ``cv="prefit"``, without folds.

    Parameters
    ----------
    cv : object
        As given.
    **given : tuple
        Value and default of each.

    Raises
    ------
    ValueError
        For the first value that is not the default.
    """
    if not isinstance(cv, str):
        return
    for name, (value, default) in given.items():
        if value != default:
            raise ValueError(
                f"{name}={shown(value)} has no effect with cv='prefit', which fits no "
                "folds. Leave it out, or use another cv."
            )


@dataclass
class HeldOut:
    """Rows left out of training, and what the estimator of their fold predicts.

    Attributes
    ----------
    rows : ndarray of shape (n_rows,)
        Their indices.
    proba : ndarray of shape (n_rows, n_columns), or None
        Their probabilities, or expected labels if not all tasks are binary; None if the
        fit of the fold failed.
    estimator : estimator
        The estimator of the fold.
    fit_time, score_time : float
        Seconds for the fit and for the prediction.
    """

    rows: np.ndarray
    proba: np.ndarray | None
    estimator: BaseEstimator
    fit_time: float = 0.0
    score_time: float = 0.0


def predict_prefit(
    estimator: BaseEstimator, X: object, columns: TaskColumns, n: int
) -> list[HeldOut]:
    """Predict all rows by an estimator that is already fitted."""
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise NotFittedError(
            "cv='prefit' needs a fitted estimator: fit it on other rows first."
        ) from error
    start = perf_counter()
    table = columns.of(estimator, X)
    seconds = perf_counter() - start
    return [HeldOut(np.arange(n), table, estimator, score_time=seconds)]


@dataclass(frozen=True)
class FoldFits:
    """Fits an estimator once for each split and predicts the rows left out.

    Attributes
    ----------
    estimator : estimator
        The inner estimator; each fold fits a clone.
    columns : TaskColumns
        What to predict.
    params : mapping
        Parameters of ``fit``; those with an entry for each row are split too.
    error_score : float or "raise"
        What to do if a fit fails: raise the error, or warn and return no predictions.
    owner : estimator
        The estimator whose callbacks are notified of the folds.
    """

    estimator: BaseEstimator
    columns: TaskColumns
    params: Mapping[str, object]
    error_score: float | str
    owner: BaseEstimator

    def run(
        self,
        X: object,
        y: object,
        splits: Sequence[tuple[np.ndarray, np.ndarray]],
        contexts: Sequence[CallbackContext],
        n_jobs: object,
    ) -> list[HeldOut]:
        found: list[HeldOut] = Parallel(n_jobs=n_jobs)(
            delayed(self._fold)(clone(self.estimator), X, y, train, test, context)
            for (train, test), context in zip(splits, contexts, strict=True)
        )
        if all(fold.proba is None for fold in found):
            raise ValueError(
                f"The fit failed on all {len(found)} folds; see the warnings, or pass "
                "error_score='raise' for the error itself."
            )
        return found

    def _fold(
        self,
        estimator: BaseEstimator,
        X: object,
        y: object,
        train: np.ndarray,
        test: np.ndarray,
        context: CallbackContext,
    ) -> HeldOut:
        # Parameters with an entry for each row are split like the rows.
        fit_params = params_of_rows(X, self.params, indices=train)
        X_train, y_train = rows_of(X, train), rows_of(y, train)
        start = perf_counter()
        try:
            fit_in(context, self.owner, estimator, X_train, y_train, fit_params)
        except Exception as error:
            if self.error_score == "raise":
                raise
            warnings.warn(
                f"The fit failed on a fold of {len(train)} rows; its score is set to "
                f"{self.error_score}. {type(error).__name__}: {error}",
                FitFailedWarning,
                stacklevel=2,
            )
            return HeldOut(np.asarray(test), None, None, perf_counter() - start)
        fitted = perf_counter()
        table = self.columns.of(estimator, rows_of(X, test))
        return HeldOut(
            np.asarray(test), table, estimator, fitted - start, perf_counter() - fitted
        )


def fit_in(
    context: CallbackContext,
    caller: BaseEstimator,
    estimator: BaseEstimator,
    X: object,
    y: object,
    params: Mapping[str, object],
) -> BaseEstimator:
    """Fit in a callback context of its own, so that its progress is shown nested."""
    takes_callbacks = hasattr(estimator, "set_callbacks")
    shared = context.propagate_callback_context(estimator) if takes_callbacks else None
    with shared or nullcontext():
        context.call_on_fit_task_begin(estimator=caller, X=X, y=y)
        estimator.fit(X, y, **params)
    context.call_on_fit_task_end(estimator=caller, X=X, y=y)
    return estimator


class Progress:
    """Notify scikit-learn's callbacks of every part of an evaluation."""

    def __init__(self, estimator: BaseEstimator, context: CallbackContext) -> None:
        self.estimator, self.context = estimator, context

    def __call__(self, n_parts: int) -> Callable[[], None]:
        """Begin an evaluation; call the result after each of its `n_parts` parts."""
        outer = self.context.subcontext(
            task_name="evaluation", max_subtasks=n_parts
        ).call_on_fit_task_begin(estimator=self.estimator)
        done = 0

        def step() -> None:
            nonlocal done
            part = outer.subcontext(task_name="candidates")
            part.call_on_fit_task_begin(estimator=self.estimator)
            part.call_on_fit_task_end(estimator=self.estimator)
            done += 1
            if done == n_parts:
                outer.call_on_fit_task_end(estimator=self.estimator)

        return step
