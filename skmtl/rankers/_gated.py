"""Base of the rankers with gates: weights of the gates and outputs of the experts."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from skmtl._typing import AnyArray, TableLike
from skmtl.rankers._base import MultiTaskRanker
from skmtl.training.computing import blocks, predicting


class GatedRanker(MultiTaskRanker):
    """Base of the rankers with gates and experts.

    The sharing of a gated ranker has a method ``mixture``, which returns the weights of
    the gates and the outputs of the experts.

    Parameters
    ----------
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    Examples
    --------
    >>> from skmtl import MMoE, ShareBottom
    >>> from skmtl.rankers import GatedRanker
    >>> isinstance(MMoE(), GatedRanker), isinstance(ShareBottom(), GatedRanker)
    (True, False)
    """

    def gate_weights(self, X: TableLike) -> npt.NDArray[np.float32]:
        """Return the weights that each task's gate gives to the experts.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, n_tasks, n_experts), dtype float32
            Weights that sum to 1 over the experts; 0 for an expert that a task does
            not read. With several levels, those of the last. ``expert_names_`` names
            the experts.
        """
        return self._mixture(X, 0)[:, : len(self.task_names_)]

    def expert_outputs(self, X: TableLike) -> npt.NDArray[np.float32]:
        """Return the output of each expert for each row.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, n_experts, width), dtype float32
            Outputs of the experts, of the last level if there are several.
        """
        return self._mixture(X, 1)

    @property
    def expert_names_(self) -> AnyArray:
        """Names of the experts, in the order of `gate_weights`."""
        check_is_fitted(self)
        return np.array(self._expert_names(), dtype=object)

    @abstractmethod
    def _expert_names(self) -> list[str]:
        """Names of the experts."""

    def _reads(self) -> npt.NDArray[np.bool_]:
        """Which experts each task's gate weighs, ``(n_tasks, n_experts)``."""
        return np.ones((len(self.task_names_), len(self.expert_names_)), dtype=bool)

    def _mixture(self, X: TableLike, part: int) -> npt.NDArray[np.float32]:
        """Return gate weights (part 0) or the experts' outputs (part 1)."""
        check_is_fitted(self)
        module, device = self.net_.module_, self.net_.device
        table = self.encoder_.encode(X, read_optional=False)
        with predicting(self.net_, len(table)):
            # Not by the network itself, which only gives the mixed representations.
            found: list[torch.Tensor] = [
                module.sharing.mixture(module.embedding(**block))[part]
                for block in blocks(table, device)
            ]
            out: npt.NDArray[np.float32] = torch.cat(found).cpu().numpy()
        return out
