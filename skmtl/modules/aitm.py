"""Towers that pass information along the chain of tasks, weighed by attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skmtl.modules.composition import OutputPlaces
from skmtl.modules.graph import topological_order
from skmtl.modules.layers import Dense, TaskLinear, side_by_side
from skmtl.modules.protocols import Towers


class Transfer(nn.Module):
    """Attention over a task's own embedding and those passed on by earlier tasks.

    Parameters
    ----------
    width : int
        Width `k` of the embeddings.
    n_parents : int
        Number of tasks before.

    Notes
    -----
    Shape: own embedding ``(batch, width)`` and a list of those before, to ``(batch,
    width)``. With ``u_0`` the own embedding and ``u_i`` a dense layer with ReLU of the
    i-th before, the output is ``sum_i a_i h1(u_i)``, where ``a`` is the softmax of
    ``<h2(u_i), h3(u_i)> / sqrt(k)`` over i. One product computes h1, h2 and h3.
    """

    def __init__(self, width: int, n_parents: int) -> None:
        super().__init__()
        self.hand_on = nn.ModuleList(
            Dense(width, width, relu=True) for _ in range(n_parents)
        )
        self.attention = Dense(width, 3 * width, bias=False)

    def forward(self, own: Tensor, before: Sequence[Tensor]) -> Tensor:
        handed = [layer(z) for layer, z in zip(self.hand_on, before, strict=True)]
        u = torch.stack([own, *handed], dim=1)
        value, key, query = self.attention(u).chunk(3, dim=2)
        # Inner products grow with the width; scaled, the softmax does not.
        score = (key * query).sum(dim=2) / own.shape[1] ** 0.5
        mixed: Tensor = torch.bmm(score.softmax(dim=1).unsqueeze(1), value)
        return mixed.squeeze(1)


class TransferTowers(Towers):
    r"""Towers with adaptive information transfer from earlier tasks.

    .. math::

        z_t = \sum_{u \in U_t} a(u) \, h_1(u), \quad
        a(u) = \operatorname*{softmax}_{u \in U_t}
        \frac{\langle h_2(u), h_3(u) \rangle}{\sqrt k}

    The set :math:`U_t` holds what the hidden layers of task `t` give, of width `k`,
    and a dense layer with ReLU of :math:`z_p` for each task `p` before it. The maps
    :math:`h_1, h_2, h_3` are linear. A task without one before it has its hidden
    layers' output as :math:`z_t`. The logit is a linear map of :math:`z_t`.

    Parameters
    ----------
    parents : sequence of sequence of int
        For each task, the tasks before it; one for each but the first in the paper.
        The graph has no cycle.
    width : int
        Width of a task's representation.
    units : sequence of int
        Widths of a tower's hidden layers, at least one; the last is the embedding that
        is passed on.
    calibrator_weight : float
        Multiplier of the calibrator: by how much a probability exceeds that of a task
        before, on average over the rows.
    dropout : float
        Share of a layer's outputs that is dropped in training.
    n_outputs : sequence of int or None, default=None
        Outputs of each task; None for one. The calibrator compares the first ones,
        which are log-odds wherever it has a weight.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)`` to ``(batch, n_tasks)``, or ``(batch,
    sum(n_outputs))``.

    References
    ----------
    D. Xi et al., "Modeling the Sequential Dependence among Audience Multi-step
    Conversions with Multi-task Learning in Targeted Display Advertising", KDD 2021,
    section 4.2 for the transfer, section 4.3 for the calibrator.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import TransferTowers
    >>> towers = TransferTowers(
    ...     parents=[[], [0]], width=8, units=(4,), calibrator_weight=0.5, dropout=0.0
    ... )
    >>> towers(torch.ones(2, 5, 8)).shape
    torch.Size([5, 2])

    The second probability is .5 in both rows, and above the first in one of them:

    >>> logits = torch.tensor([[0.25, 0.5], [0.75, 0.5]]).logit()
    >>> towers.penalty(logits, None)
    tensor(0.0625)
    """

    def __init__(
        self,
        *,
        parents: Sequence[Sequence[int]],
        width: int,
        units: Sequence[int],
        calibrator_weight: float,
        dropout: float,
        n_outputs: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        n_outputs = list(n_outputs or [1] * len(parents))
        self.places = OutputPlaces(n_outputs)
        self.first = [sum(n_outputs[:task]) for task in range(len(parents))]
        self.parents = [list(p) for p in parents]
        self.order = topological_order(self.parents)
        self.calibrator_weight = calibrator_weight
        self.hidden = side_by_side(len(parents), width, units, dropout)
        # Keys of a ModuleDict are strings; a first task has nothing to attend to.
        self.transfer = nn.ModuleDict(
            {str(t): Transfer(units[-1], len(p)) for t, p in enumerate(parents) if p}
        )
        self.output = TaskLinear(len(parents), units[-1], self.places.most)

    def start_at(self, rates: Tensor) -> None:
        """Set the output biases so that the first predictions are `rates`."""
        self.places.start_at(rates, self.output.bias)

    def forward(self, representation: Tensor) -> Tensor:
        own = self.hidden(representation)
        z: dict[int, Tensor] = {}
        for task in self.order:
            before = [z[p] for p in self.parents[task]]
            z[task] = own[task]
            if before:
                z[task] = self.transfer[str(task)](own[task], before)
        stacked = torch.stack([z[task] for task in range(len(self.parents))])
        logits: Tensor = self.places(self.output(stacked))
        return logits

    def penalty(self, logits: Tensor, weight: Tensor | None) -> Tensor:
        """Compute the calibrator.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_outputs)
            Outputs of `forward`.
        weight : Tensor of shape (batch, n_tasks) or None
            Weights of the labels. A row counts in a pair of tasks with the mean of its
            weights for both; None counts every row as 1.

        Returns
        -------
        Tensor of shape ()
            The calibrator, times `calibrator_weight`.
        """
        edges = [(t, p) for t, before in enumerate(self.parents) for p in before]
        if not edges or not self.calibrator_weight:
            return logits.new_zeros(())
        task, parent = torch.tensor(edges, device=logits.device).T
        # Further outputs of a task are not log-odds.
        if len(self.first) < logits.shape[1]:
            logits = logits[:, self.first]
        proba = logits.sigmoid()
        excess = (proba[:, task] - proba[:, parent]).relu()
        if weight is not None:
            excess = excess * (weight[:, task] + weight[:, parent]) / 2
        return self.calibrator_weight * excess.sum(dim=1).mean()
