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
    Shape: outputs ``(batch, n_tasks * n_outputs)``, labels ``(batch, n_tasks)`` in {0,
    1}, weights ``(batch, n_tasks)`` or None, and the number of the list of each row
    ``(batch,)``, to ``(n_tasks,)``. A weight of 0 is a label that was not observed.

    Sums over lists are divided by the size of the batch, as the cross-entropy is.

    Attributes
    ----------
    n_outputs : int
        Outputs of each task, the first of which is the log-odds.
    """

    n_outputs = 1

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(
        self, outputs: Tensor, y: Tensor, weight: Tensor | None, lists: Tensor
    ) -> Tensor:
        at, there = rows_of_lists(lists)
        w = there.to(y.dtype).unsqueeze(2)
        if weight is not None:
            w = w * weight[at]
        z, labels = outputs[at].to(y.dtype), y[at]
        tasks = zip(
            z.split(self.n_outputs, dim=2),
            labels.unbind(2),
            w.expand_as(labels).unbind(2),
            strict=True,
        )
        sums = [self.of_task(own, one * mass, mass) for own, one, mass in tasks]
        return torch.stack(sums) * (self.factor / len(y))

    @abstractmethod
    def of_task(self, z: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
        """Sum over the lists of one task.

        Parameters
        ----------
        z : Tensor of shape (n_lists, length, n_outputs)
            Outputs.
        positive : Tensor of shape (n_lists, length)
            Weights of positive labels, 0 for all others.
        weight : Tensor of shape (n_lists, length)
            Weights of all labels, 0 where there is no row.
        """


class PairwiseLogistic(ListLoss):
    r"""Logistic loss of the difference between a positive row and a negative one.

    For a positive row :math:`i` it is the mean of :math:`\log(1 + e^{z_j - z_i})` over
    the negative rows :math:`j` of its list. Lists without both labels do not count. If
    labels are independent, the differences of the true log-odds minimise its
    expectation. Each positive row counts once, however long its list is, and a row of
    weight 2 as two rows.

    References
    ----------
    C. Burges et al., "Learning to Rank using Gradient Descent", ICML 2005, section 3.
    """

    def of_task(self, z: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
        negative = weight - positive
        # Without both labels a list has no pair, and shares of 0 / 0.
        both = positive.any(dim=1) & negative.any(dim=1)
        z, positive, negative = z[both, :, 0], positive[both], negative[both]
        pairs = F.softplus(z[:, None, :] - z[:, :, None])
        share = negative / negative.sum(dim=1, keepdim=True)
        of_positive = (pairs * share[:, None, :]).sum(dim=2)
        return (positive * of_positive).sum()


class ListCrossEntropy(ListLoss):
    r"""Cross-entropy of the probabilities of a list, divided by their sum.

    For a positive row :math:`i` it is :math:`-\log(p_i / \sum_j p_j)` over the rows
    :math:`j` of its list, with probabilities :math:`p`. Its expectation is least where
    :math:`p_j` is proportional to the true probabilities of the list. Each positive row
    counts once, however long its list is, and a row of weight 2 as two rows.

    References
    ----------
    A. Bai et al., "Regression Compatible Listwise Objectives for Calibrated Ranking
    with Binary Relevance", CIKM 2023 (ListCE, of labels that are not divided by their
    sum).
    """

    def of_task(self, z: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
        some = positive.any(dim=1)  # others may have no label at all
        positive, weight = positive[some], weight[some]
        log_p = F.logsigmoid(z[some, :, 0])
        # log 0 = -inf leaves out padding, and labels that were not observed.
        total = (log_p + weight.log()).logsumexp(dim=1, keepdim=True)
        return (positive * (total - log_p)).sum()


class JointRankingCalibration(ListLoss):
    r"""Cross-entropy of softmaxes over the rows of a list, one for each label.

    A row has a logit :math:`f_0` for a negative and :math:`f_1` for a positive. With
    the label :math:`y` its loss is :math:`-\log(e^{f_y} / \sum_j e^{f_{jy}})` over all
    rows :math:`j` of the list. The cross-entropy beside it is that of :math:`f_1 -
    f_0`, the log-odds. A row of weight 2 counts as two rows.

    Notes
    -----
    The outputs of a task are the log-odds and :math:`f_0`, so that whatever reads
    log-odds finds them first. The paper's network gives :math:`f_1` and :math:`f_0`,
    of which they are differences. Its weight of the cross-entropy, :math:`\alpha`, is
    ``1 / (1 + factor)`` here, up to the learning rate.

    References
    ----------
    X.-R. Sheng et al., "Joint Optimization of Ranking and Calibration with
    Contextualized Hybrid Model", KDD 2023, https://arxiv.org/abs/2208.06164, section
    3.2.
    """

    n_outputs = 2

    def of_task(self, z: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
        some = weight.any(dim=1)
        positive, weight = positive[some], weight[some]
        log_odds, of_negative = z[some].unbind(2)
        # -inf leaves out padding, and labels that were not observed.
        log_w = weight.log()
        sums = []
        for f, own in (
            (of_negative + log_odds, positive),
            (of_negative, weight - positive),
        ):
            total = (f + log_w).logsumexp(dim=1, keepdim=True)
            sums.append((own * (total - f)).sum())
        return sums[0] + sums[1]


class LambdaRank(ListLoss):
    r"""Pairwise logistic loss, weighed by what a swap of the two rows does to NDCG@k.

    For a positive row :math:`i` and a negative one :math:`j` it is
    :math:`|\Delta_{ij}| \log(1 + e^{z_j - z_i})` with :math:`\Delta_{ij} = (d_i - d_j)
    / \max \mathrm{DCG}`. The discount of the row in position r is :math:`d = 1 /
    \log_2(1 + r)`, and 0 below position k. Positions are those of the present log-odds,
    among the rows whose label was observed, and no gradient goes through them. Every
    list counts once, lists without both labels not at all.

    The weight of a positive row multiplies its pairs. Weights of negative rows count
    relative to each other. They do not change positions.

    Parameters
    ----------
    factor : float, default=1.0
        Multiplier of the loss.
    k : int, default=10
        Positions that count.

    References
    ----------
    C. Burges, "From RankNet to LambdaRank to LambdaMART: An Overview", MSR-TR-2010-82,
    section 4, whose gradients these are; X. Wang et al., "The LambdaLoss Framework for
    Ranking Metric Optimization", CIKM 2018, section 5.2, for the loss that has them.
    """

    def __init__(self, factor: float = 1.0, *, k: int = 10) -> None:
        super().__init__(factor)
        self.k = k

    def of_task(self, z: Tensor, positive: Tensor, weight: Tensor) -> Tensor:
        negative = weight - positive
        both = positive.any(dim=1) & negative.any(dim=1)
        z, positive, negative = z[both, :, 0], positive[both], negative[both]
        position = _positions(z.detach(), positive + negative > 0)
        n_positive = (positive > 0).sum(dim=1).clamp(max=self.k)
        ideal = _discount(torch.arange(1, z.shape[1] + 1).to(z)).cumsum(dim=0)
        pairs = F.softplus(z[:, None, :] - z[:, :, None]) * self.of_pairs(position)
        n = (negative > 0).sum(dim=1, keepdim=True)
        relative = negative * n / negative.sum(dim=1, keepdim=True)
        of_positive = (pairs * relative[:, None, :]).sum(dim=2)
        return (positive * of_positive / ideal[n_positive - 1, None]).sum()

    def of_pairs(self, position: Tensor) -> Tensor:
        """Weights of all pairs, times the highest DCG.

        Parameters
        ----------
        position : Tensor of shape (n_lists, length)
            Positions of the rows, from 1.

        Returns
        -------
        Tensor of shape (n_lists, length, length)
            Weights of the pairs.
        """
        discount = _discount(position) * (position <= self.k)
        return (discount[:, :, None] - discount[:, None, :]).abs()


class NDCGLoss2(LambdaRank):
    r"""Pairwise logistic loss, weighed by parts of a bound of NDCG@k.

    As :class:`LambdaRank`, but with the weights :math:`\Delta_{ij} = (d(\delta) -
    d(\delta + 1)) / \max \mathrm{DCG}` of the distance :math:`\delta` between the two
    positions, and the discount :math:`d(r) = 1 / \log_2(1 + r)`. If one of the rows is
    below position k, in :math:`r > k`, the weight is divided by :math:`1 - d(r)`.

    References
    ----------
    X. Wang et al., "The LambdaLoss Framework for Ranking Metric Optimization", CIKM
    2018 (NDCG-Loss2); R. Jagerman et al., "On Optimizing Top-K Metrics for Neural
    Ranking Models", SIGIR 2022, for rows below position k.
    """

    def of_pairs(self, position: Tensor) -> Tensor:
        first, second = position[:, :, None], position[:, None, :]
        distance = (first - second).abs().clamp(min=1)  # no pair is of one row
        weight = _discount(distance) - _discount(distance + 1)
        lower = torch.maximum(first, second)
        below = 1 / (1 - _discount(lower.clamp(min=2)))
        return torch.where(lower > self.k, weight * below, weight)


def _discount(position: Tensor) -> Tensor:
    return 1 / torch.log2(1 + position)


def _positions(z: Tensor, there: Tensor) -> Tensor:
    """Position of each row of a list, from 1, among those that are there."""
    order = z.masked_fill(~there, -torch.inf).argsort(
        dim=1, descending=True, stable=True
    )
    return (order.argsort(dim=1) + 1).to(z)


def rows_of_lists(lists: Tensor) -> tuple[Tensor, Tensor]:
    """Arrange the rows of each list side by side.

    Parameters
    ----------
    lists : Tensor of shape (batch,), dtype int64
        Number of the list of each row, in any order.

    Returns
    -------
    at : Tensor of shape (n_lists, length), dtype int64
        Rows of the list, padded with row 0.
    there : Tensor of shape (n_lists, length), dtype bool
        False for padding.
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
    "jrc": JointRankingCalibration,
    "lambdarank": LambdaRank,
    "ndcg_loss2": NDCGLoss2,
}


def make_list_loss(name: str, *, factor: float, k: int) -> ListLoss:
    """Make the loss of a name; `k` is for those that depend on positions."""
    made = LIST_LOSSES[name](factor)
    if isinstance(made, LambdaRank):
        made.k = k
    return made
