"""Folds with equal shares of every task's labels, including rare ones."""

import warnings
from collections.abc import Iterator
from numbers import Integral

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from skmtl._containers import n_rows_of, to_native
from skmtl._messages import shown
from skmtl._typing import TableLike
from skmtl.tasks import check_targets


class MultiTaskStratifiedKFold(BaseCrossValidator):
    """K folds with equal shares of every task's positive and negative labels.

    Rows with the same labels in all tasks (1, 0 or not observed) are dealt out evenly.
    Leftover rows go to the folds that have the fewest of their rarest label, rows with
    the rarest labels first, so that rare orders reach every fold.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the rows of equal labels before they are dealt out.
        Otherwise they stay in order.
    random_state : int, RandomState instance or None, default=None
        Controls the shuffling. Pass an int for the same folds in every call.

    See Also
    --------
    TimeSplit : Train on the past, test on the future.

    Notes
    -----
    Serving the rarest label first is the idea of iterative stratification [1]_. Dealing
    out whole combinations of labels limits the loop to combinations instead of rows.

    References
    ----------
    .. [1] K. Sechidis, G. Tsoumakas and I. Vlahavas. On the stratification of
           multi-label data. ECML PKDD 2011, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import MultiTaskStratifiedKFold
    >>> y = np.zeros((100, 2))
    >>> y[:30, 0] = 1  # clicks
    >>> y[:4, 1] = 1  # orders
    >>> y[90:, 1] = np.nan
    >>> for train, test in MultiTaskStratifiedKFold(4).split(y, y):
    ...     print(np.nansum(y[test], axis=0))
    [8. 1.]
    [8. 1.]
    [7. 1.]
    [7. 1.]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: object = None,
    ) -> None:
        whole = isinstance(n_splits, Integral) and not isinstance(n_splits, bool)
        if not whole or n_splits < 2:
            raise ValueError(
                f"n_splits must be a whole number of at least 2; got {shown(n_splits)}."
            )
        if not shuffle and random_state is not None:
            raise ValueError("random_state has no effect without shuffle=True.")
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(
        self, X: TableLike | None = None, y: object = None, groups: object = None
    ) -> int:
        """Number of folds.

        Parameters
        ----------
        X : object, default=None
            Not used.
        y : object, default=None
            Not used.
        groups : object, default=None
            Not used.

        Returns
        -------
        int
            The number of folds.
        """
        return int(self.n_splits)

    def split(
        self, X: TableLike, y: object, groups: object = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield indices of the training and test rows of each fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows; only their number matters.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels: 1, 0, or NaN for not observed.
        groups : object, default=None
            Not used.

        Yields
        ------
        train : ndarray
            Indices of the training rows.
        test : ndarray
            Indices of the test rows.

        Raises
        ------
        ValueError
            If `X` and `y` differ in length, a label is not 0, 1 or NaN, no label is
            positive, or there are more folds than rows.
        """
        states, names = _label_states(y)
        n_rows = n_rows_of(X)
        if n_rows != len(states):
            raise ValueError(f"X has {n_rows} rows, but y has {len(states)}.")
        fold = self._folds(states, names)
        rows = np.arange(len(fold))
        for k in range(self.n_splits):
            yield rows[fold != k], rows[fold == k]

    def _folds(self, states: np.ndarray, names: list[str]) -> np.ndarray:
        """Return, for each row, the fold whose test part it is in."""
        n_folds = self.n_splits
        totals = _totals(states)
        if n_folds > len(states):
            raise ValueError(f"n_splits={n_folds} is more than the {len(states)} rows.")
        if not totals[1::2].any():
            raise ValueError(
                f"No task has a positive label: tasks {names}, {len(states)} rows."
            )
        rng = check_random_state(self.random_state) if self.shuffle else None
        rows = np.arange(len(states)) if rng is None else rng.permutation(len(states))
        fold = np.empty(len(states), dtype=np.intp)
        have = np.zeros((n_folds, len(totals)), dtype=np.int64)
        size = np.zeros(n_folds, dtype=np.int64)
        for part in _parts_by_rarity(states, rows, totals):
            present = _present(states[part[0]])
            rarest_first = present[np.argsort(totals[present], kind="stable")]
            share = np.full(n_folds, len(part) // n_folds)
            last = np.arange(n_folds) if rng is None else rng.permutation(n_folds)
            # lexsort sorts by its last key first, which is the rarest label.
            order = np.lexsort((last, size, *have[:, rarest_first[::-1]].T))
            share[order[: len(part) % n_folds]] += 1
            fold[part] = np.repeat(np.arange(n_folds), share)
            have[:, present] += share[:, None]
            size += share
        _warn_empty(have[:, 1::2], names)
        return fold


def _warn_empty(positives: np.ndarray, names: list[str]) -> None:
    """Name the tasks that have no positive label in some fold."""
    lacking = {
        name: f"{column.sum()} in all"
        for name, column in zip(names, positives.T, strict=True)
        if not column.all()
    }
    if lacking:
        warnings.warn(
            f"Of {len(positives)} folds, some have no positive label of the tasks "
            f"{lacking}. Use fewer folds.",
            UserWarning,
            stacklevel=4,
        )


def _label_states(y: object) -> tuple[np.ndarray, list[str]]:
    """Return states (0, 1, or 2 if not observed) by row and task, and task names."""
    targets = check_targets(to_native(y, "y"))
    states = np.where(targets.observed, targets.labels, 2).astype(np.int64)
    return states, [str(name) for name in targets.names]


def _totals(states: np.ndarray) -> np.ndarray:
    """Negative and positive labels of each task, one task after the other."""
    return np.column_stack([(states == 0).sum(0), (states == 1).sum(0)]).ravel()


def _present(states: np.ndarray) -> np.ndarray:
    """Positions, in the totals, of the labels that a row has."""
    tasks = np.flatnonzero(states < 2)
    return 2 * tasks + states[tasks]


def _parts_by_rarity(
    states: np.ndarray, rows: np.ndarray, totals: np.ndarray
) -> list[np.ndarray]:
    """Rows of equal labels, those with the rarest label first, rows in given order."""
    codes = np.zeros(len(states), dtype=np.int64)
    for column in states.T:
        # Numbered again after each task, so that many tasks do not overflow int64.
        codes = np.unique(3 * codes + column, return_inverse=True)[1]
    order = rows[np.argsort(codes[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    parts = np.split(order, cuts)

    def rarity(part: np.ndarray) -> list[int]:
        # Rows without an observed label come last.
        return sorted(totals[_present(states[part[0]])].tolist()) or [len(states)]

    return sorted(parts, key=rarity)
