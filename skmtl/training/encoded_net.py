"""A skorch net of encoded tables: what it predicts, and which rows it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNet

from skmtl._typing import AnyArray
from skmtl.encoding import EncodedTable
from skmtl.metrics import roc_auc
from skmtl.tasks import TaskKinds
from skmtl.training.batches import RowTable, TensorTable
from skmtl.training.computing import as_tensors, predicting


class EncodedNet(NeuralNet):
    """skorch's NeuralNet as a classifier of several tasks, on encoded rows.

    skorch's scoring callbacks call these methods while a ranker trains.
    """

    task_names_: list[str]

    @property
    def _kinds(self) -> TaskKinds:
        kinds: TaskKinds = self.criterion_.task_losses.kinds
        return kinds

    @property
    def classes_(self) -> AnyArray | list[AnyArray]:
        """Labels of the task, or of each of several; 0 and 1 if it is binary."""
        classes = [np.asarray(kind.labels) for kind in self._kinds]
        return classes if len(classes) > 1 else classes[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        return tags

    def get_dataset(self, X: object, y: object = None) -> RowTable:
        """Take an encoded table as rows to predict.

        Parameters
        ----------
        X : EncodedTable
            The rows.
        y : None
            Nothing: training takes more than labels.

        Returns
        -------
        RowTable
            The rows as tensors.

        Raises
        ------
        TypeError
            For tables that are not encoded, and with labels.
        """
        if isinstance(X, RowTable):
            return X
        if y is not None:
            raise TypeError(
                "The net of a ranker is trained by the ranker, which encodes the rows "
                "and weighs the tasks: call ranker.fit or ranker.partial_fit."
            )
        if isinstance(X, EncodedTable):
            tensors, n_rows = as_tensors(X), len(X)
        elif isinstance(X, Mapping) and "ids" in X:
            tensors = {name: _as_tensor(x) for name, x in X.items()}
            n_rows = len(X["ids"])
        else:
            raise TypeError(
                "The net of a ranker takes encoded rows, found a "
                f"{type(X).__name__}. Call ranker.predict_proba(X), or "
                "net_.predict_proba(ranker.encoder_.encode(X))."
            )
        return TensorTable(tensors, torch.empty(n_rows, 0), None)

    def predict_proba(self, X: object) -> Any:
        """Probabilities as of the ranker, but before its ``intercept_``.

        Parameters
        ----------
        X : EncodedTable
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or a list of them, one for each task
            As other scikit-learn classifiers give them.
        """
        proba = self._kinds.probabilities(self._levels(X))
        return proba if len(proba) > 1 else proba[0]

    def predict(self, X: object) -> AnyArray:
        """Give the more probable label, for each of several tasks.

        Parameters
        ----------
        X : EncodedTable
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels, and expected values of regressions.
        """
        labels = self._kinds.decide(self._levels(X))
        return labels if labels.shape[1] > 1 else labels[:, 0]

    def score(self, X: object, y: object) -> float:
        """Mean ROC AUC over the tasks; NaN in `y` is not observed.

        Parameters
        ----------
        X : EncodedTable
            The rows.
        y : array-like of shape (n_samples, n_tasks)
            Labels.

        Returns
        -------
        float
            The mean over the tasks that have both classes.

        Raises
        ------
        TypeError
            If some task is not binary.
        """
        if not self._kinds.all_binary:
            raise TypeError(
                "The net scores binary tasks only. Give the callback a function "
                "scoring(net, X, y)."
            )
        return float(np.nanmean(roc_auc(y, self._levels(X))))

    def fit(self, X: object, y: object = None, **_: Any) -> NoReturn:
        """Refuse: a net that starts again would forget what the ranker has learnt."""
        raise TypeError(
            "The net of a ranker is trained by the ranker: call ranker.fit or "
            "ranker.partial_fit."
        )

    def _levels(self, X: object) -> npt.NDArray[np.float64]:
        # By skorch's forward_iter, in whose place scoring callbacks put outputs that
        # they have seen.
        n_rows = len(X) if isinstance(X, TensorTable | EncodedTable) else 0
        with predicting(self, n_rows):
            found = [z.detach().cpu().numpy() for z in self.forward_iter(X)]
        return self._kinds.predict(np.concatenate(found))


def _as_tensor(values: object) -> Any:
    return torch.from_numpy(values) if isinstance(values, np.ndarray) else values
