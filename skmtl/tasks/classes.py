"""Tasks with several classes, ordered or not."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, softmax
from sklearn.utils.multiclass import check_classification_targets

from skmtl._typing import AnyArray
from skmtl.tasks.kinds import FARTHEST, Floats, Part, TaskKind, shift_of_log_odds

if TYPE_CHECKING:
    from torch import Tensor, nn

# What may be a class.
Label: TypeAlias = str | float | np.generic

# With more classes than this, numbers or ids were probably mistaken for classes.
_MOST_CLASSES = 1000
# Largest number of Newton steps to fit the intercepts of a softmax.
_ROUNDS = 30


class ClassesTask(TaskKind):
    """Base of kinds with several classes."""

    many_classes: ClassVar[bool] = True
    classes_: AnyArray | None = None

    def __init__(self, *, classes: Sequence[Label] | None = None) -> None:
        self.classes = classes
        if classes is not None:
            found = pd.Index(list(classes))
            if len(found) < 2 or found.has_duplicates or found.hasnans:
                raise ValueError(
                    "classes must be at least two different labels, found "
                    f"{list(classes)}."
                )

    @property
    def labels(self) -> AnyArray:
        """The classes, which are known once labels were read."""
        if self.classes_ is None:
            raise ValueError(f"The classes of {self!r} are known after fit.")
        return self.classes_

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.labels)

    def with_classes(self, classes: Any, task: str) -> Self:
        # Classes that are declared, or known from an earlier table, take precedence.
        if classes is None or self.classes is not None or self.classes_ is not None:
            return self
        kind = copy.copy(self)
        known = ~pd.isna(pd.Series(classes)).to_numpy()
        kind.classes_ = self._find(classes, known, task)
        return kind

    def read(
        self, column: npt.ArrayLike, task: str
    ) -> tuple[Self, npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        observed: npt.NDArray[np.bool_] = ~pd.isna(pd.Series(column)).to_numpy()
        kind = self
        if self.classes_ is None:
            kind = copy.copy(self)
            kind.classes_ = self._find(column, observed, task)
        known = pd.Index(kind.labels)
        values = np.asarray(column)[observed]
        # By hash, and in the order of the classes, which need not be sorted.
        codes = known.get_indexer(pd.Index(values))
        if (codes < 0).any():
            unknown = values[codes < 0].tolist()[0]
            raise ValueError(
                f"Task {task!r} holds the label {unknown!r}, which is not one of its "
                f"classes {known.tolist()}. Fix the labels, or declare every class: "
                f"task_kinds={{{task!r}: {type(self).__name__}(classes=[…])}}."
            )
        labels = np.zeros(len(observed), dtype=np.float32)
        labels[observed] = codes
        return kind, labels, observed

    def _find(
        self,
        column: npt.ArrayLike | pd.Series,
        observed: npt.NDArray[np.bool_],
        task: str,
    ) -> AnyArray:
        """The classes: as declared, else those of a categorical, else those found."""
        if self.classes is not None:
            return _numbers_of_objects(np.asarray(self.classes))
        dtype = getattr(column, "dtype", None)
        if isinstance(dtype, pd.CategoricalDtype):
            return _numbers_of_objects(np.asarray(dtype.categories))
        values = _numbers_of_objects(np.asarray(column)[observed])
        if not len(values):
            raise ValueError(
                f"Task {task!r} has no observed label, so its classes are not known. "
                f"Declare them: {type(self).__name__}(classes=[…])."
            )
        try:
            found = np.unique(values)
        except TypeError as error:
            raise ValueError(
                f"Task {task!r} holds labels of several types: {error}. Use numbers "
                "or strings."
            ) from error
        self._check(values, found, task)
        return found

    def _check(self, values: AnyArray, found: AnyArray, task: str) -> None:
        """Raise for labels that can hardly be classes."""
        if found.dtype.kind == "f" and np.isinf(found).any():
            raise ValueError(
                "Input y contains infinity or a value too large for dtype('float64'): "
                f"task {task!r}."
            )
        if len(found) > _MOST_CLASSES:
            raise ValueError(
                f"Task {task!r} has {len(found):,} different labels, which are hardly "
                f"classes. At most {_MOST_CLASSES:,} are supported; use a regression "
                "for numbers."
            )

    def decide(self, levels: Floats) -> AnyArray:
        proba = self.probabilities(levels)
        return np.stack([self.labels[p.argmax(axis=1)] for p in proba], axis=1)

    def has_score(self, labels: npt.NDArray[np.floating]) -> bool:
        return bool(labels.min(initial=np.inf) < labels.max(initial=-np.inf))


def _numbers_of_objects(labels: AnyArray) -> AnyArray:
    """Objects that are all numbers, as in a table beside strings, as numbers."""
    if labels.dtype.kind != "O":
        return labels
    found = pd.Series(labels).infer_objects()
    numbers = isinstance(found.dtype, np.dtype) and found.dtype.kind in "biuf"
    return found.to_numpy() if numbers else labels


class OrdinalTask(ClassesTask):
    """A task with a few ordered labels, such as stars, by cumulative log-odds.

    The network gives each row one score. Ordered thresholds, which are trained with it,
    divide the scores into classes: the log-odds of a label above class `k` are ``score
    - threshold[k]``.

    Parameters
    ----------
    classes : sequence or None, default=None
        The labels from lowest to highest. None for those of an ordered pandas
        categorical, or the numbers found in `y`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        In a fitted ranker's ``task_kinds_``: the labels.

    See Also
    --------
    RegressionTask : Labels whose differences are meaningful.
    MulticlassTask : Labels without an order.

    Notes
    -----
    `predict_task` gives the expected label, or for labels that are not numbers the
    expected position, counted from 0. The score of a task is the kappa of the most
    probable labels with quadratic weights.

    References
    ----------
    P. McCullagh, "Regression Models for Ordinal Data", Journal of the Royal Statistical
    Society B 42(2), 1980, section 2: the proportional odds model.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import OrdinalTask, ShareBottom
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2000, 3))
    >>> stars = np.digitize(X[:, 0] + rng.logistic(size=2000) / 4, [-1, 0, 1]) + 1
    >>> ranker = ShareBottom(task_kinds=OrdinalTask(), random_state=0).fit(X, stars)
    >>> ranker.predict_proba(X).shape
    (2000, 4)
    >>> bool(np.corrcoef(ranker.predict_task(X)[:, 0], stars)[0, 1] > 0.8)
    True
    """

    name: ClassVar[str] = "ordinal"
    #: Kappa with quadratic weights.
    metric = "kappa"
    #: Name of the metric in a fit's history.
    score_name = "kappa"

    @property
    def n_outputs(self) -> int:
        """One for each class but the last."""
        return max(self.n_classes - 1, 1)

    def _find(
        self,
        column: npt.ArrayLike | pd.Series,
        observed: npt.NDArray[np.bool_],
        task: str,
    ) -> AnyArray:
        dtype = getattr(column, "dtype", None)
        if isinstance(dtype, pd.CategoricalDtype) and not dtype.ordered:
            column = np.asarray(column)  # the order of its categories has no meaning
        found = super()._find(column, observed, task)
        ordered = self.classes is not None or isinstance(dtype, pd.CategoricalDtype)
        if not ordered and found.dtype.kind not in "biuf":
            raise ValueError(
                f"Task {task!r} is ordinal and holds labels that are not numbers, such "
                f"as {found.tolist()[0]!r}, whose order is not known. Declare it: "
                "OrdinalTask(classes=[…]), or use an ordered pandas categorical."
            )
        return found

    @property
    def grades(self) -> Floats:
        """Values of the classes: the labels if they are numbers, or their positions."""
        if self.labels.dtype.kind in "biuf":
            return self.labels.astype(np.float64)
        return np.arange(self.n_classes, dtype=np.float64)

    def numbers(self, labels: Floats) -> Floats:
        return np.asarray(self.grades[labels.astype(int)])

    @property
    def own_metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Kappa of the labels nearest to the expected ones."""
        return {"kappa": {}}

    def nearest(self, expected: Floats) -> Floats:
        order = np.argsort(self.grades)  # declared classes need not be ascending
        grades = self.grades[order]
        between = (grades[1:] + grades[:-1]) / 2
        return order[np.searchsorted(between, expected)].astype(np.float64)

    def indicators(self, labels: Floats) -> Floats:
        return (labels[:, None] > np.arange(self.n_outputs)).astype(np.float64)

    def make_loss(self, label_weight: Sequence[float]) -> nn.Module:
        from skmtl.tasks.losses import CumulativeCrossEntropy

        return CumulativeCrossEntropy(self.n_outputs + 1)

    @property
    def n_thresholds(self) -> int:
        """One for each output."""
        return self.n_outputs

    def predict(self, outputs: npt.NDArray[np.floating]) -> Floats:
        return np.asarray(expit(np.asarray(outputs, dtype=np.float64)))

    def probabilities(self, levels: Floats) -> list[Floats]:
        found = []
        for above in self._by_task(levels):
            n = len(above)
            steps = np.hstack([np.ones((n, 1)), above, np.zeros((n, 1))])
            # Rounding may make a difference of equal levels negative.
            proba = np.maximum(-np.diff(steps, axis=1), 0.0)
            # A single class still has one output, and so two differences.
            found.append(proba[:, : self.n_classes])
        return found

    def expected(self, levels: Floats) -> Floats:
        grades = self.grades
        if self.n_classes == 1:
            return np.full((len(levels), levels.shape[1]), grades[0])
        columns = [
            grades[0] + above @ np.diff(grades) for above in self._by_task(levels)
        ]
        return np.stack(columns, axis=1)

    def graph(self, outputs: Tensor) -> Tensor:
        grades = self.grades
        if self.n_classes == 1:
            # Made of the outputs, so that an exported graph keeps their rows.
            return outputs * 0 + float(grades[0])
        above = 1 / (1 + (-outputs).exp())
        steps = above.new_tensor(np.diff(grades))
        return float(grades[0]) + (above * steps).sum(dim=1, keepdim=True)

    def judged(self, levels: Floats) -> npt.NDArray[Any]:
        proba = self.probabilities(levels)
        return np.stack([p.argmax(axis=1) for p in proba], axis=1)

    def is_constant(self, means: Floats) -> npt.NDArray[np.bool_]:
        rates = means.reshape(-1, self.n_outputs)
        # If all labels are of one class, each of the rates is 0 or 1.
        return np.asarray((np.isnan(rates) | np.isin(rates, (0.0, 1.0))).all(axis=1))

    @property
    def _even(self) -> Floats:
        """Rates of the outputs where all classes are equally frequent."""
        return np.arange(self.n_outputs, 0, -1) / (self.n_outputs + 1)

    def constant(self, means: Floats) -> Floats:
        rates = means.reshape(-1, self.n_outputs)
        return np.where(np.isnan(rates), self._even, rates).ravel()

    def first_rates(self, means: Floats, n_rows: int) -> Floats:
        rates = self.constant(means).reshape(-1, self.n_outputs)
        # As if each class had one more label, so that the rates differ from each other.
        k = self.n_outputs + 1
        return ((rates * n_rows + self._even * k) / (n_rows + k)).ravel()

    def intercept(self, parts: Sequence[Part], means: Floats) -> Floats:
        # Outputs of a row differ only by thresholds, and the rates fall, so the shifts
        # that meet the rates keep the order of the thresholds.
        shifts = []
        for k, mean in enumerate(means):
            own = [(z[k], float(share[k]), weight) for z, share, weight in parts]
            # Else all labels, or none, are above this class: as far as shifts go.
            known = 0 < mean < 1
            shifts.append(
                shift_of_log_odds(own, mean) if known else (2 * mean - 1) * FARTHEST
            )
        return np.array(shifts)


class MulticlassTask(ClassesTask):
    """A task with several labels without an order, such as the reason for a return.

    Parameters
    ----------
    classes : sequence or None, default=None
        The labels. None for those of a pandas categorical, or those found in `y`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        In a fitted ranker's ``task_kinds_``: the labels.

    See Also
    --------
    OrdinalTask : Labels with an order.

    Notes
    -----
    Outputs are logits of a softmax. `predict_task` has a column for the probability of
    each class, named ``<task>_<class>``. The score of a task is the mean of the ROC
    AUC of each class against all others.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MulticlassTask, ShareBottom
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2000, 3))
    >>> reason = np.array(["size", "colour", "late"])[X.argmax(axis=1)]
    >>> ranker = ShareBottom(task_kinds=MulticlassTask(), random_state=0)
    >>> ranker = ranker.fit(X, reason)
    >>> ranker.classes_
    array(['colour', 'late', 'size'], dtype='<U6')
    >>> bool((ranker.predict(X) == reason).mean() > 0.9)
    True
    """

    name: ClassVar[str] = "multiclass"
    #: The mean ROC AUC of each class against all others.
    metric = "auc_ovr"
    #: Name of the metric in a fit's history.
    score_name = "auc"

    @property
    def n_outputs(self) -> int:
        """One for each class."""
        return self.n_classes

    @property
    def n_columns(self) -> int:
        """One for each class."""
        return self.n_classes

    def column_names(self, task: str) -> list[str]:
        return [f"{task}_{label}" for label in self.labels]

    def _check(self, values: AnyArray, found: AnyArray, task: str) -> None:
        super()._check(values, found, task)
        check_classification_targets(values)

    def indicators(self, labels: Floats) -> Floats:
        return np.asarray(
            labels[:, None] == np.arange(self.n_classes), dtype=np.float64
        )

    def make_loss(self, label_weight: Sequence[float]) -> nn.Module:
        from skmtl.tasks.losses import ClassCrossEntropy

        return ClassCrossEntropy(self.n_classes)

    def predict(self, outputs: npt.NDArray[np.floating]) -> Floats:
        logits = np.asarray(outputs, dtype=np.float64)
        parts = [softmax(z, axis=1) for z in self._by_task(logits)]
        return np.concatenate(parts, axis=1)

    def probabilities(self, levels: Floats) -> list[Floats]:
        return list(self._by_task(levels))

    def expected(self, levels: Floats) -> Floats:
        return levels

    def graph(self, outputs: Tensor) -> Tensor:
        import torch

        return torch.softmax(outputs, dim=1)

    def judged(self, levels: Floats) -> npt.NDArray[Any]:
        return levels.reshape(len(levels), -1, self.n_classes)

    def is_constant(self, means: Floats) -> npt.NDArray[np.bool_]:
        rates = means.reshape(-1, self.n_classes)
        return np.asarray(np.isnan(rates).any(axis=1) | (rates == 1).any(axis=1))

    def constant(self, means: Floats) -> Floats:
        return np.nan_to_num(means, nan=1 / self.n_classes)

    def first_rates(self, means: Floats, n_rows: int) -> Floats:
        # As if each class had one more label. A logit is the logarithm of a rate, and
        # the caller needs its sigmoid.
        rates = (self.constant(means) * n_rows + 1) / (n_rows + self.n_classes)
        return np.asarray(rates / (1 + rates))

    def intercept(self, parts: Sequence[Part], means: Floats) -> Floats:
        there = means > 0
        start = np.where(there, 0.0, -FARTHEST)  # a class without labels
        shift = start
        for _ in range(_ROUNDS):
            rates, slopes = self._rates(parts, shift)
            missing = means - rates
            if np.abs(missing).max() < 1e-12:
                break
            # Newton's step; a constant in all logits changes nothing.
            step = np.linalg.lstsq(slopes, missing, rcond=1e-12)[0]
            # Far from the solution a full step overshoots.
            shift = shift + np.where(there, step.clip(-1, 1), 0.0)
        worse = np.abs(means - self._rates(parts, shift)[0]).max()
        better = np.abs(means - self._rates(parts, start)[0]).max()
        return shift if worse <= better else start  # estimates from few rows

    def _rates(self, parts: Sequence[Part], shift: Floats) -> tuple[Floats, Floats]:
        """Mean probabilities, and their derivatives by the shifts."""
        rates, slopes = np.zeros(len(shift)), np.zeros((len(shift), len(shift)))
        for z, share, weight in parts:
            proba = softmax(z.T.astype(np.float64) + shift, axis=1)
            w = weight / weight.sum()
            mean = w @ proba
            rates += share * mean
            slopes += share[:, None] * (np.diag(mean) - (w * proba.T) @ proba)
        return rates, slopes
