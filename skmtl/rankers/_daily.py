"""Training that goes on as tables arrive: `partial_fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import torch

from skmtl._net import MultiTaskNet
from skmtl._optim import replace_parameter
from skmtl._sklearn import _fit_context
from skmtl.encoding import EncodedTable, TableEncoder
from skmtl.encoding._growth import Growth
from skmtl.rankers._epoch_auc import TaskAUC
from skmtl.rankers._epoch_line import EpochLine
from skmtl.rankers._fit import Fit, Weights
from skmtl.rankers._intercept import fit_intercept, rates_after
from skmtl.rankers._targets import Targets, check_targets
from skmtl.rankers._training import logits

if TYPE_CHECKING:
    from skmtl.rankers._base import MultiTaskRanker


class PartialFitMixin:
    """Rankers that go on training as tables arrive."""

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Go on training with one more table, in one pass.

        The first call is a `fit` of one epoch; later calls, and calls after `fit`, go
        on from there. Ids that come up on `min_frequency` rows of all calls together
        get rows of their own, which start as what the id was until then: its column's
        unknown row, or its fallback. What optimisers know of old rows is kept. Scales
        and bins stay as they are. The learning rate runs through its schedule in each
        call.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            More rows, with the columns of the first call and no others.
        y : array-like or DataFrame of shape (n_samples,) or (n_samples, n_tasks)
            Labels of the same tasks, as for `fit`.
        classes : array-like, or list of array-like, default=None
            For one task, the labels that may come up, where the first call does not
            have both. For several tasks, which have 0 and 1, it changes nothing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights, as for `fit`.

        Returns
        -------
        self : MultiTaskRanker
            The ranker.

        Raises
        ------
        ValueError, TypeError
            For other columns or tasks, and for all that `fit` refuses; the message
            names the column or the task. The ranker stays as it was.
        """
        ranker: Any = self
        fitted = PartialFit(ranker, X, y, sample_weight, classes).run(None)
        self.__dict__.update(fitted)
        return self


class PartialFit(Fit):
    """One pass over one more table; the first is a `fit` of one epoch.

    Parameters
    ----------
    ranker : MultiTaskRanker
        The ranker, fitted or not.
    X, y, weight
        The table, labels and weights.
    classes : array-like, list of array-like or None
        Labels that may come up.
    """

    goes_on = "partial_fit"

    def __init__(
        self, ranker: MultiTaskRanker, X: Any, y: Any, weight: Any, classes: Any
    ) -> None:
        if ranker.early_stopping:
            raise ValueError(
                "partial_fit does not set rows aside, so that it cannot stop early. "
                "Set early_stopping=False."
            )
        self.classes = classes
        super().__init__(ranker, X, y, weight)
        self.max_iter = 1
        if self.warm:
            # Not the row order of the last call again.
            sequence = np.random.SeedSequence([self.seed, ranker.n_iter_])
            self.seed = int(sequence.generate_state(1)[0])

    def _is_warm(self) -> bool:
        return hasattr(self.ranker, "net_")

    def _check_targets(self, y: Any) -> Targets:
        classes = self.classes
        if self.warm and not self.ranker._multioutput:
            classes = self.ranker.classes_
        return check_targets(y, classes)

    def _encoder(self) -> TableEncoder:
        if not self.warm:
            return super()._encoder()
        weight = self._row_weight()
        encoder, self.growth = self.ranker.encoder_.grown(self.X, weight)
        return encoder

    def _masses(self, targets: Targets, weight: Weights) -> tuple[Weights, Weights]:
        """Over all calls."""
        masses = super()._masses(targets, weight)
        if not self.warm:
            return masses
        before = self.ranker._masses
        return masses[0] + before[0], masses[1] + before[1]

    def _net(self, fitted: dict[str, Any], n_rows: int) -> MultiTaskNet:
        net = super()._net(fitted, n_rows)
        if self.warm:
            grow_net(net, fitted["encoder_"].vocabulary_sizes_, self.growth)
        return net

    def _callbacks(self, context: Any, fitted: dict[str, Any], valid: Any) -> list[Any]:
        names, given = self.targets.names, self.ranker.callbacks or []
        callbacks: list[Any] = [TaskAUC(names, scalars=bool(given))]
        if self.ranker.verbose:
            callbacks.append(EpochLine(names))
        return [*callbacks, *given]

    def _intercept(
        self,
        net: MultiTaskNet,
        table: EncodedTable,
        labels: npt.NDArray[np.float32],
        weight: Weights,
        prior: Weights,
    ) -> Weights:
        if not self.warm:
            return super()._intercept(net, table, labels, weight, prior)
        # By the ranker as it was: training went on with a copy. What steps on these
        # rows did to the level does not show in it.
        proba, w = self.ranker._task_proba(self.X), self.weight
        mass, total = w.sum(axis=0), (w * proba).sum(axis=0)
        expected = np.divide(total, mass, out=np.zeros_like(mass), where=mass > 0)
        known = self.ranker._masses[0]
        rates = rates_after(expected, known, self.targets.labels, w)
        found = fit_intercept(
            [(np.ones_like(rates), logits(net, table), weight)], rates
        )
        return np.where((rates > 0) & (rates < 1), found, self.ranker.intercept_)


def grow_net(net: MultiTaskNet, sizes: list[int], growth: Growth) -> None:
    """Give the tables of ids more rows, and their optimisers state for them.

    Parameters
    ----------
    net : MultiTaskNet
        Changed in place.
    sizes : list of int
        Rows of each vocabulary from now on.
    growth : Growth
        Where the rows come from.
    """
    if not growth.new.any():
        return
    start, new = torch.from_numpy(growth.start), torch.from_numpy(growth.new)
    for one in net.module_.embedding.grow(sizes, start, new):
        for optimizer in net.all_optimizers:
            replace_parameter(optimizer, one.before, one.after, one.rows, one.fresh)
