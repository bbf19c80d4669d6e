"""An average of the weights along training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# Steps from one reading of the weights to the next. Where there are many weights, as in
# large tables of ids, a reading is made when so many numbers of them fall to a step.
_EVERY = 8
_NUMBERS = 2**19


class WeightAverage:
    """Average of parameters over the steps of one training.

    Every step counts the same, so that the average has no length to tune: it reaches
    back over all of a short training and all of a long one. Weights are read every few
    steps, and a reading stands for the steps since the one before.

    Parameters
    ----------
    parameters : iterable of Tensor
        What is averaged. Changed in place by `show` and `hide`.

    Attributes
    ----------
    n_steps : int
        Steps taken.

    References
    ----------
    B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by
    Averaging", SIAM Journal on Control and Optimization 30, 1992.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = [p for p in parameters if p.numel()]
        self.means = [p.detach().clone() for p in self.parameters]
        numbers = sum(p.numel() for p in self.parameters)
        self.every = max(_EVERY, numbers // _NUMBERS)
        self.n_steps = self.read_at = 0
        self.shown = False

    def state_dict(self) -> dict[str, Any]:
        """Give the state, for a training that is resumed."""
        return {
            "means": self.means,
            "n_steps": self.n_steps,
            "read_at": self.read_at,
            "shown": self.shown,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of another average of the same parameters."""
        for mine, saved in zip(self.means, state["means"], strict=True):
            mine.copy_(saved)
        self.n_steps, self.read_at = state["n_steps"], state["read_at"]
        self.shown = state["shown"]

    def after_step(self) -> None:
        """Count a step, and read the weights where it is time to."""
        self.n_steps += 1
        if self.n_steps - self.read_at >= self.every:
            self._read()

    def show(self) -> None:
        """Put the average into the parameters."""
        if self.n_steps > self.read_at:
            self._read()
        self._swap(shown=True)

    def hide(self) -> None:
        """Put back the weights that training goes on from."""
        self._swap(shown=False)

    @torch.no_grad()
    def _read(self) -> None:
        share = 1 - self.read_at / self.n_steps
        torch._foreach_lerp_(self.means, [p.detach() for p in self.parameters], share)
        self.read_at = self.n_steps

    def _swap(self, *, shown: bool) -> None:
        if self.shown == shown:
            return
        for k, p in enumerate(self.parameters):
            p.data, self.means[k] = self.means[k], p.data
        self.shown = shown
