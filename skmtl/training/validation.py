"""Early stopping: rows for validation, and their score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.utils.metadata_routing import get_routing_for_object

from skmtl._containers import (
    check_same_length,
    is_source,
    n_rows_of,
    table_of_tasks,
)
from skmtl._sklearn import BaseScorer
from skmtl._splits import check_splits
from skmtl._typing import (
    AnyArray,
    GroupsLike,
    IntArray,
    LabelsLike,
    Scorer,
    Splitter,
    TableLike,
)
from skmtl.metrics import get_task_scorer
from skmtl.metrics._mixed import KindScore
from skmtl.metrics._task_scorer import TaskScorer
from skmtl.metrics._validation import check_groups, check_length
from skmtl.tasks import Targets, TaskKinds, check_targets, task_weights
from skmtl.training.batches import Processes
from skmtl.training.fingerprint import digest_of
from skmtl.training.intercept import Floats
from skmtl.training.ranker import TrainableRanker

# scikit-learn's scorers that would read the tasks' probabilities as those of a single
# multiclass problem, and what to use instead.
_WRONG_FOR_TASKS = {"neg_log_loss": "mean_log_loss", "neg_brier_score": "mean_brier"}


# What validation_fraction="auto" takes at least and at most.
_FEWEST, _MOST = 1000, 10_000


@dataclass(frozen=True)
class Validation:
    """Rows for validation: the caller's table, or some rows of the training table.

    Attributes
    ----------
    targets, weight
        Labels and weights of the rows.
    X : object
        The caller's table; None where `held_out` says which rows.
    held_out : ndarray of shape (n_samples,), dtype bool, or None
        Rows of the training table that are set aside.
    kept : ndarray of shape (n_samples,), dtype bool, or None
        Rows of the training table that are trained on.
    """

    targets: Targets
    weight: Floats
    X: TableLike | None = None
    held_out: npt.NDArray[np.bool_] | None = None
    kept: npt.NDArray[np.bool_] | None = None


def find_scorer(ranker: BaseEstimator, n_tasks: int) -> Scorer:
    """The scorer of `scoring`: scikit-learn's names, then those of `skmtl.metrics`."""
    scoring = ranker.scoring
    if n_tasks > 1 and isinstance(scoring, str) and scoring in _WRONG_FOR_TASKS:
        raise ValueError(
            f"scoring={scoring!r} reads the tasks as the classes of one problem. For "
            f"{n_tasks} tasks use scoring={_WRONG_FOR_TASKS[scoring]!r}."
        )
    scorer: Scorer
    if isinstance(scoring, str) and scoring not in get_scorer_names():
        try:
            scorer = get_task_scorer(scoring)
        except ValueError as error:
            raise ValueError(
                f"scoring: {error} scikit-learn's names work too: {get_scorer_names()}."
            ) from error
    else:
        scorer = check_scoring(ranker, scoring=scoring)
    return scorer


def check_scorer(
    scorer: Scorer,
    labels: AnyArray,
    names: list[str],
    kinds: TaskKinds,
    groups: AnyArray | None,
) -> Scorer:
    """Check before training that a task scorer can judge these tasks and labels.

    Returns
    -------
    callable
        The scorer, with the groups of the rows if it needs them.
    """
    if not isinstance(scorer, TaskScorer):
        return scorer
    if kinds.all_binary:
        # Raises here rather than after an epoch.
        scorer.prepare(pd.DataFrame(labels, columns=names), groups=groups)
    else:
        KindScore(scorer.metric, scorer.params).chosen(scorer.task, names, list(kinds))
    return scorer if groups is None else partial(scorer, groups=groups)


def needs_groups(scorer: object) -> bool:
    """Whether a scorer compares rows of a group."""
    return isinstance(scorer, TaskScorer) and scorer.metric.needs_groups


def scorer_groups(
    ranker: BaseEstimator,
    scorer: Scorer,
    validation: Validation | None,
    groups: GroupsLike,
    groups_val: GroupsLike,
) -> AnyArray | None:
    """Number the groups of the rows for validation, if the scorer needs them.

    All rows are checked, so that errors speak of rows of the caller's table.

    Raises
    ------
    ValueError
        If it needs them and there are none, or not one for each row.
    """
    if validation is None or not needs_groups(scorer):
        return None
    held_out = validation.held_out
    if held_out is None:
        _check_given(ranker, groups_val, "groups_val, the group of each row of X_val")
        return check_groups(groups_val, len(validation.targets.labels), "groups_val")
    _check_given(ranker, groups, "groups, the group of each row of X")
    return check_groups(groups, len(held_out))[held_out]


def check_same_groups(processes: Processes, groups: AnyArray) -> None:
    """Raise in every process if the groups of a scorer differ between them."""
    processes.check_same({"the groups": digest_of(torch.from_numpy(groups))})


def _check_given(ranker: BaseEstimator, groups: GroupsLike, missing: str) -> None:
    if groups is None:
        raise ValueError(
            f"scoring={ranker.scoring!r} needs the group of each validation row. Pass "
            f"{missing}, or watch a metric without groups such as 'mean_auc'."
        )


def judges_predictions(scorer: object) -> bool:
    """Whether a scorer only uses predictions for the rows.

    It gets encoded rows, which are encoded once for all epochs. Others get the caller's
    table.
    """
    # `check_scorer` may have bound groups in a partial.
    return isinstance(getattr(scorer, "func", scorer), BaseScorer)


def validation_score(
    scorer: Scorer, ranker: BaseEstimator, X: object, labels: Sized
) -> float:
    value = float(scorer(ranker, X, labels))
    if np.isnan(value):
        raise ValueError(
            f"scoring={ranker.scoring!r} is NaN on the {len(labels)} validation rows, "
            "so no epoch is better than another. Use validation rows with both labels "
            "of the task, or another metric."
        )
    return value


def check_validation_arguments(
    X_val: object, y_val: object, sample_weight_val: object, groups_val: object = None
) -> None:
    """Raise for labels and weights without rows, and rows in memory without labels.

    The labels of a source are columns of it, by default with the same names as in `X`.

    Raises
    ------
    ValueError
        The message names both arguments.
    """
    if X_val is None and y_val is not None:
        raise ValueError("y_val is given without X_val. Pass both or none.")
    if X_val is None and sample_weight_val is not None:
        raise ValueError(
            "sample_weight_val is given without X_val and y_val. Pass all of them or "
            "none."
        )
    if X_val is None and groups_val is not None:
        raise ValueError(
            "groups_val is given without X_val. Rows that fit sets aside have their "
            "group from groups."
        )
    if X_val is not None and y_val is None and not is_source(X_val):
        raise ValueError("X_val is given without y_val. Pass both or none.")


def given_validation(
    ranker: TrainableRanker, given: Targets, X: TableLike, y: object, weight: object
) -> Validation:
    """Read a table for validation, whose tasks are those of training.

    Raises
    ------
    ValueError
        For other tasks, and labels that cannot be used.
    """
    # Rows for validation may have only one of the two labels.
    known = None if given.multioutput else given.classes
    try:
        y = table_of_tasks(y, n_rows_of(X), "y_val")
        # These kinds know the classes and scales of the labels in training.
        kinds, names = list(given.kinds), given.names
        targets = check_targets(y, known, kinds, names)
    except ValueError as error:
        raise ValueError(f"y_val: {error}") from error
    if not targets.observed.any():
        raise ValueError(
            f"y_val holds only NaN for the tasks {list(targets.names)}, so no epoch "
            "is better than another. Pass observed labels."
        )
    check_same_length(X_val=n_rows_of(X), y_val=len(targets.labels))
    if list(targets.names) != list(names):
        raise ValueError(f"y_val has the tasks {[*targets.names]}, y has {[*names]}.")
    targets = ranker._complete(targets)
    weight = task_weights(weight, targets.observed, targets.names)
    return Validation(targets, weight, X=X)


def split_rows(
    split: Splitter | list[Sequence[npt.ArrayLike]],
    X: TableLike,
    y: LabelsLike,
    n_rows: int,
    groups: GroupsLike = None,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return rows to train on and rows for validation, by the last pair of a split.

    Returns
    -------
    train, valid : ndarray of shape (n_samples,), dtype bool
        Rows may be in neither.
    """
    pairs: list[Sequence[npt.ArrayLike]]
    pairs = split if isinstance(split, list) else [*_pairs(split, X, y, n_rows, groups)]
    train, valid = np.zeros(n_rows, dtype=bool), np.zeros(n_rows, dtype=bool)
    at = check_splits(pairs, n_rows, "validation_split")[-1]
    train[at[0]], valid[at[1]] = True, True
    if (train & valid).any():
        raise ValueError(
            f"validation_split has {int((train & valid).sum())} rows both to train on "
            "and to validate with. Use parts that share no row."
        )
    return train, valid


def _pairs(
    split: Splitter, X: TableLike, y: LabelsLike, n_rows: int, groups: GroupsLike
) -> Iterable[tuple[IntArray, IntArray]]:
    """Split rows, with groups if the splitter requests them, under any name."""
    requests = get_routing_for_object(split).split.requests
    if not requests.get("groups"):
        try:
            # A splitter that needs groups but does not request them raises here.
            return [*split.split(X, y)]
        except ValueError as error:
            if "groups" not in requests or "groups" not in str(error):
                raise
            raise ValueError(
                f"validation_split={split!r} does not request groups: {error} Call its "
                "set_split_request(groups=True)."
            ) from error
    if groups is None:
        raise ValueError(
            f"validation_split={split!r} needs the group of each row, such as its "
            "user. Give fit(X, y, groups=...)."
        )
    # Checked for missing ones; the splitter gets the groups themselves.
    check_groups(groups, n_rows)
    return split.split(X, y, check_length(groups, n_rows, "groups"))


def check_parts(*, trains: bool, validates: bool, argument: str) -> None:
    """Raise if the training or validation rows have no label that counts.

    Parameters
    ----------
    trains, validates : bool
        Whether each part has an observed label with a weight above 0.
    argument : str
        The argument that chose the parts, for the error.

    Raises
    ------
    ValueError
        If one of them has none.
    """
    if trains and validates:
        return
    use = "validate with" if trains else "train on"
    raise ValueError(
        f"{argument} leaves no observed label with a weight above 0 to {use}. Use "
        "more labels, or pass X_val and y_val, or set early_stopping=False."
    )


def n_validation_rows(fraction: float | str, n_rows: int) -> int:
    """How many rows to set aside."""
    if isinstance(fraction, str):
        few, many = min(_FEWEST, n_rows // 10), _MOST
        return int(np.clip(n_rows // 20, few, many))
    return round(n_rows * fraction)


def n_rows_aside(fraction: float | str, n_rows: int) -> int:
    """As `n_validation_rows`, but at least one.

    Raises
    ------
    ValueError
        If no row is left to train on.
    """
    n_valid = max(n_validation_rows(fraction, n_rows), 1)
    if n_valid >= n_rows:
        raise ValueError(
            f"validation_fraction={fraction} of {n_rows} rows leaves none to train on. "
            "Use more rows, or set early_stopping=False."
        )
    return n_valid


def validation_rows(
    labels: npt.NDArray[np.float32],
    observed: npt.NDArray[np.bool_],
    fraction: float | str,
    rng: np.random.RandomState,
) -> npt.NDArray[np.bool_]:
    """Choose validation rows at random, the same share of every pattern of labels.

    Rows are sorted by the labels of all tasks, rarest task first and at random within
    a pattern, and chosen at even distances. So the same share of each pattern is
    chosen, including rare ones, and no pattern needs a minimum number of rows.

    Returns
    -------
    ndarray of shape (n_samples,), dtype bool
        True for validation.
    """
    n = len(labels)
    n_valid = n_rows_aside(fraction, n)
    rarest_first = np.argsort((labels * observed).sum(axis=0), kind="stable")
    # lexsort sorts by the last key first: rarest task last, random numbers first.
    keys: list[AnyArray] = [rng.permutation(n)]
    for task in rarest_first[::-1]:
        keys += [observed[:, task], labels[:, task]]
    order = np.lexsort(keys)
    # Even distances from a random start.
    at = ((np.arange(n_valid) + rng.uniform()) * n / n_valid).astype(int)
    chosen = np.zeros(n, dtype=bool)
    chosen[order[at]] = True
    return chosen
