"""The contract of loss weightings."""

from __future__ import annotations

from torch import Tensor, nn


class LossWeighting(nn.Module):
    """Turn the losses of the tasks into the scalar that training descends.

    A weighting owns its state; its parameters, if any, are trained with the network.
    """

    def forward(self, losses: Tensor) -> Tensor:
        """Scalar loss.

        Parameters
        ----------
        losses : Tensor of shape (n_tasks,)
            Losses of one batch; 0 for a task without an observed label in it.

        Returns
        -------
        Tensor of shape ()
            What to descend.
        """
        raise NotImplementedError

    def current(self) -> Tensor:
        """Weights in force, of shape (n_tasks,)."""
        raise NotImplementedError
