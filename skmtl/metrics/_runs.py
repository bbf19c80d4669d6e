"""Areas under ROC curves of weighted rows, in runs of equal scores."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Runs:
    """Runs of equal scores within groups, in rows sorted by group and rising score."""

    first_row: np.ndarray  # of each run
    first_run: np.ndarray  # of each group

    @classmethod
    def of_sorted(cls, score: np.ndarray, codes: np.ndarray | None) -> "Runs":
        new = np.ones(len(score), dtype=bool)
        new[1:] = score[1:] != score[:-1]
        if codes is None:
            first_row = np.flatnonzero(new)
            first_run = np.zeros(1, dtype=np.int64)
        else:
            new[1:] |= codes[1:] != codes[:-1]
            first_row = np.flatnonzero(new)
            run_codes = codes[first_row]
            starts = np.flatnonzero(run_codes[1:] != run_codes[:-1]) + 1
            first_run = np.append(0, starts)
        return cls(first_row, first_run)

    @cached_property
    def runs_in_group(self) -> np.ndarray:
        """Number of runs of each group."""
        return np.diff(np.append(self.first_run, len(self.first_row)))

    @cached_property
    def place_in_group(self) -> np.ndarray:
        """Place of each run in its group, from 0."""
        first = np.repeat(self.first_run.astype(np.int32), self.runs_in_group)
        return np.arange(len(self.first_row), dtype=np.int32) - first

    def areas(
        self, positive: np.ndarray, negative: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight of both classes, and the area, of each group.

        Each class is divided by its weight in the group before pairs are multiplied,
        so that weights of any size neither overflow nor vanish.
        """
        gained = np.add.reduceat(positive, self.first_row)
        met = np.add.reduceat(negative, self.first_row)
        positives = np.add.reduceat(gained, self.first_run)
        negatives = np.add.reduceat(met, self.first_run)
        self._divide(gained, positives)
        self._divide(met, negatives)
        # Negatives before a run count 1 and those in it 1/2; here all is doubled.
        won = self._cumulative(met)
        won *= 2
        won -= met
        won *= gained
        auc = np.add.reduceat(won, self.first_run) / 2
        auc[(positives == 0) | (negatives == 0)] = np.nan
        return positives, negatives, auc

    def _divide(self, of_runs: np.ndarray, of_groups: np.ndarray) -> None:
        # Groups that lack a class get NaN later.
        whole = np.where(of_groups > 0, of_groups, 1.0)
        if len(whole) > 1:
            whole = np.repeat(whole, self.runs_in_group)
        of_runs /= whole

    def _cumulative(self, values: np.ndarray) -> np.ndarray:
        """Cumulative sum within groups.

        It doubles its steps, so that a small group does not suffer from the rounding of
        the sum over all groups before it.
        """
        if len(self.first_run) == 1:
            return np.cumsum(values)
        place = self.place_in_group
        total, step, longest = values.copy(), 1, int(place.max())
        while step <= longest:
            total[step:] += np.where(place[step:] >= step, total[:-step], 0.0)
            step *= 2
        return total
