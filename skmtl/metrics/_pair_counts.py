"""Counts of pairs behind the ROC AUC.

The area is ``(pairs won + pairs tied / 2) / (positives × negatives)`` over the pairs
of a positive and a negative row.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PairCounts:
    """Positives, negatives and twice the pairs won, each ``(n_groups, n_tasks)``."""

    positives: np.ndarray
    negatives: np.ndarray
    twice_won: np.ndarray

    def auc(self) -> np.ndarray:
        """Area for each group and task; NaN where a class is missing."""
        pairs = self.positives * self.negatives
        area = np.full(pairs.shape, np.nan)
        np.divide(self.twice_won, 2.0 * pairs, out=area, where=pairs > 0)
        return area


Counter = Callable[[np.ndarray], PairCounts]
