"""Folds and their models: classifiers on numbers and categories."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import BaseCrossValidator

from skmtl._extras import import_extra
from skmtl._splits import check_splits
from skmtl._typing import AnyArray, TableLike
from skmtl.encoding import TableEncoder
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.tasks import Targets

Floats = npt.NDArray[np.float64]
Fold: TypeAlias = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

# scikit-learn's trees accept up to 255 categories; one is for all other ids.
MAX_CATEGORIES = 254
# Probabilities are clipped this far from 0 and 1, so that their log-odds are finite.
EDGE = 1e-6


def find_folds(
    cv: int | BaseCrossValidator | Sequence[tuple[AnyArray, AnyArray]],
    X: TableLike,
    targets: Targets,
    groups: object,
    seed: int,
) -> tuple[list[Fold], npt.NDArray[np.bool_]]:
    """Return the training and test rows of each fold, and which rows are tested.

    Raises
    ------
    ValueError
        If a row is in two test parts, or both in the training and the test part of a
        fold; and for splits as `check_splits` says.
    """
    labels = targets.as_given()
    if isinstance(cv, Integral | int):
        n_splits = int(cv)
        if n_splits > len(labels):
            raise ValueError(
                f"cv={cv} needs a row for each fold, found n_samples={len(labels)}. "
                "Use more rows or fewer folds."
            )
        cv = MultiTaskStratifiedKFold(n_splits, shuffle=True, random_state=seed)
    given: object = labels
    if isinstance(cv, MultiTaskStratifiedKFold) and labels.ndim == 2:
        # Its warnings name tasks.
        given = pd.DataFrame(labels, columns=targets.names)
    pairs = cv.split(X, given, groups) if hasattr(cv, "split") else cv
    folds = check_splits(pairs, len(labels))
    times = np.zeros(len(labels), dtype=np.int64)
    for k, (train, test) in enumerate(folds):
        # Also counts a row twice that a test part repeats.
        np.add.at(times, test, 1)
        both = np.intersect1d(train, test)
        if len(both):
            raise ValueError(
                f"cv must give folds whose test rows are not trained on, found "
                f"{len(both)} rows in both parts of fold {k}, such as row {both[0]}. "
                "Use a splitter such as KFold, GroupKFold or TimeSeriesSplit."
            )
    if (times > 1).any():
        raise ValueError(
            "cv must give folds whose test parts share no row, found "
            f"{int((times > 1).sum())} rows are in several. Use a splitter such as "
            "KFold, GroupKFold or TimeSeriesSplit."
        )
    return folds, times > 0


def as_categories(encoder: TableEncoder, X: TableLike) -> pd.DataFrame:
    """Return ids as categories that are the same in every table, and numbers."""
    table = encoder.encode(X)
    first, sizes = encoder.layout_.column_first, encoder.layout_.column_sizes
    columns: dict[str, object] = {}
    for k, name in enumerate(encoder.categorical_names_):
        codes = table.ids[:, k] - first[k]
        # All codes of the vocabulary, whether they occur here or not.
        columns[f"id_{name}"] = pd.Categorical(codes, categories=range(sizes[k]))
    for name, bag in zip(encoder.bag_names_, table.bags, strict=True):
        columns[f"length_{name}"] = np.diff(bag.offsets).astype(np.float64)
    numbers = encoder.numbers(X)
    for k, name in enumerate(encoder.numeric_names_):
        columns[f"number_{name}"] = numbers[:, k]
    return pd.DataFrame(columns)


def make_classifier(estimator: str | BaseEstimator, seed: int) -> BaseEstimator:
    """Make a classifier by its name, or a clone of the caller's, with this seed."""
    if not isinstance(estimator, str):
        made = clone(estimator)
        # Seeds of the steps of a pipeline, and of wrapped classifiers.
        nested = (n for n in made.get_params() if n.endswith("__random_state"))
        rng = np.random.RandomState(seed)
        seeds = {name: rng.randint(2**31 - 1) for name in sorted(nested)}
        if "random_state" in made.get_params():
            seeds["random_state"] = seed
        return made.set_params(**seeds)
    if estimator == "hist_gradient_boosting":
        return HistGradientBoostingClassifier(random_state=seed)
    lightgbm = import_extra("lightgbm", "boosting", "estimator='lightgbm'")
    made = lightgbm.LGBMClassifier(n_jobs=1, verbose=-1, random_state=seed)
    return cast(BaseEstimator, made)


def fit_model(
    model: BaseEstimator, X: pd.DataFrame, y: Floats, weight: Floats
) -> BaseEstimator | None:
    """Fit to the rows with a weight; return None if their labels are of one class."""
    # Labels that were not observed have a weight of 0.
    rows = weight > 0
    label = y[rows].astype(np.int64)
    if not len(label) or label.min() == label.max():
        return None
    w = weight[rows]
    if (w == 1).all():  # also works for classifiers that do not take weights
        return model.fit(X[rows], label)
    return model.fit(X[rows], label, sample_weight=w)


def log_odds(model: BaseEstimator | None, X: pd.DataFrame, prior: float) -> Floats:
    """Predict the log-odds of a positive label; those of the prior without a model."""
    p = np.full(len(X), prior) if model is None else model.predict_proba(X)[:, 1]
    return np.asarray(logit(np.clip(p, EDGE, 1 - EDGE)), dtype=np.float64)
