"""Losses of the order of rows within lists."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ListLoss(nn.Module, ABC):
    """Base of losses that compare the rows of a list with each other.

    Parameters
    ----------
    factor : float, default=1.0
        Multiplier of the loss.

    Notes
    -----
    Shape: log-odds ``(batch, n_tasks)``, labels ``(batch, n_tasks)`` in {0, 1}, weights
    ``(batch, n_tasks)`` or None, and the number of the list of each row ``(batch,)``,
    to ``(n_tasks,)``. A weight of 2 is a row that is there twice, and one of 0 a label
    that was not observed.

    Every positive label counts once, however long its list is, and the sum is divided
    by the size of the batch. So it is of the size of the cross-entropy, which is
    about the rate of positives too, and a batch without a positive label has loss 0.
    """

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(
        self, logits: Tensor, y: Tensor, weight: Tensor | None, lists: Tensor
    ) -> Tensor:
        at, there = rows_of_lists(lists)
        w = there.to(y.dtype).unsqueeze(2)
        if weight is not None:
            w = w * weight[at]
        z, labels = logits[at].to(y.dtype), y[at]
        tasks = zip(
            z.unbind(2), labels.unbind(2), w.expand_as(z).unbind(2), strict=True
        )
        sums = [self.of_task(own, one * mass, mass) for own, one, mass in tasks]
        return torch.stack(sums) * (self.factor / len(y))

    @abstractmethod
    def of_task(self, z: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
        """Sum over the positive labels of one task.

        Parameters
        ----------
        z : Tensor of shape (n_lists, length)
            Log-odds.
        positive : Tensor of shape (n_lists, length)
            Weights of positive labels, 0 for all others.
        weight : Tensor of shape (n_lists, length)
            Weights of all labels, 0 where there is no row.
        """


class PairwiseLogistic(ListLoss):
    r"""Logistic loss of the difference between a positive row and a negative one.

    For a positive row :math:`i` it is the mean of :math:`\log(1 + e^{z_j - z_i})` over
    the negative rows :math:`j` of its list. Lists without both labels have none. Where
    labels do not depend on each other, its expectation is least at the differences of
    the true log-odds.

    References
    ----------
    C. Burges et al., "Learning to Rank using Gradient Descent", ICML 2005, section 3.
    """

    def of_task(self, z: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
        negative = weight - positive
        both = positive.any(dim=1) & negative.any(dim=1)
        z, positive, negative = z[both], positive[both], negative[both]
        pairs = F.softplus(z[:, None, :] - z[:, :, None])
        share = negative / negative.sum(dim=1, keepdim=True)
        of_positive = (pairs * share[:, None, :]).sum(dim=2)
        return (positive * of_positive).sum()


class ListCrossEntropy(ListLoss):
    r"""Cross-entropy of the probabilities of a list, divided by their sum.

    For a positive row :math:`i` it is :math:`-\log(p_i / \sum_j p_j)` over the rows
    :math:`j` of its list, with probabilities :math:`p`. Its expectation is least where
    :math:`p_j` is proportional to the true probabilities of the list.

    References
    ----------
    A. Bai et al., "Regression Compatible Listwise Objectives for Calibrated Ranking
    with Binary Relevance", CIKM 2023 (ListCE, of labels that are not divided by their
    sum).
    """

    def of_task(self, z: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
        some = positive.any(dim=1)  # others may have no label at all
        log_p, positive, weight = F.logsigmoid(z[some]), positive[some], weight[some]
        total = (log_p + weight.log()).logsumexp(dim=1, keepdim=True)
        return (positive * (total - log_p)).sum()


def rows_of_lists(lists: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of each list, side by side.

    Parameters
    ----------
    lists : Tensor of shape (batch,), dtype int64
        Number of the list of each row, in any order.

    Returns
    -------
    at : Tensor of shape (n_lists, length), dtype int64
        Rows of the list, and row 0 where it has no more.
    there : Tensor of shape (n_lists, length), dtype bool
        Where it has a row.
    """
    order = torch.argsort(lists, stable=True)
    counts = torch.unique_consecutive(lists[order], return_counts=True)[1]
    row = torch.arange(len(counts), device=lists.device).repeat_interleave(counts)
    first = counts.cumsum(0) - counts
    column = torch.arange(len(lists), device=lists.device) - first[row]
    at = lists.new_zeros((len(counts), int(counts.max())))
    at[row, column] = order
    there = torch.zeros_like(at, dtype=torch.bool)
    there[row, column] = True
    return at, there


LIST_LOSSES: dict[str, type[ListLoss]] = {
    "pairwise": PairwiseLogistic,
    "listwise": ListCrossEntropy,
}
