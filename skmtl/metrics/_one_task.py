"""All metrics of one task, and their bootstrap."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmtl.metrics._formulas import (
    bin_of,
    brier_of,
    calibration_error_of,
    log_loss_of,
    ratio_of,
    row_log_loss,
)
from skmtl.metrics._group_mean import group_mean
from skmtl.metrics._group_metrics import GROUP_METRICS, Relevance
from skmtl.metrics._keys import grouped_order
from skmtl.metrics._labels import Labels
from skmtl.metrics._pair_counts import PairCounts
from skmtl.metrics._pairs import prepare_pair_counts
from skmtl.metrics._ranking import Ranking
from skmtl.metrics._weighted_pairs import Runs

N_BINS, STRATEGY = 15, "quantile"


@dataclass(frozen=True)
class OneTask:
    """Observed rows of one task: labels, probabilities and, if given, groups."""

    y: np.ndarray
    p: np.ndarray
    codes: np.ndarray | None
    k: int

    def values(self) -> dict[str, float]:
        """Every metric of the task; NaN where it is not defined."""
        names = ["roc_auc", "log_loss", "brier"]
        names += ["expected_calibration_error", "predicted_to_observed"]
        if not len(self.y):
            return dict.fromkeys([*names, *self.group_names], np.nan)
        labels = Labels(self.y[None], None, ["task"])
        found = [
            float(prepare_pair_counts(labels)(self.p).auc()[0, 0]),
            log_loss_of(self.y, self.p, None),
            brier_of(self.y, self.p, None),
            calibration_error_of(self.y, self.p, None, N_BINS, STRATEGY),
            ratio_of(self.y, self.p, None),
        ]
        return dict(zip(names, found, strict=True)) | self._group_means(None)

    @property
    def group_names(self) -> list[str]:
        if self.codes is None:
            return []
        at_k = [f"{m.removesuffix('_at_k')}@{self.k}" for m in GROUP_METRICS]
        return ["group_roc_auc", "group_coverage", *at_k]

    @cached_property
    def by_group(self) -> tuple[PairCounts, Relevance, dict[str, np.ndarray]]:
        """Pair counts and every rank metric of each group, by rising code."""
        assert self.codes is not None
        labels = Labels(self.y[None], None, ["task"])
        counts = prepare_pair_counts(labels, self.codes)(self.p)
        rows = Relevance(self.y.astype(np.float64), self.codes, self.k)
        ranking = Ranking.of(self.p, self.codes)
        values = {
            name: np.where(rows.clicks > 0, metric(ranking, rows), np.nan)
            for name, metric in GROUP_METRICS.items()
        }
        return counts, rows, values

    def _group_means(self, times: np.ndarray | None) -> dict[str, float]:
        """GAUC and the rank metrics, each group taken `times` times."""
        if self.codes is None:
            return {}
        counts, rows, values = self.by_group
        often = np.ones((len(rows.clicks), 1)) if times is None else times[:, None]
        impressions = often * (counts.positives + counts.negatives)
        gauc, coverage = group_mean(
            counts.auc(), impressions, counts.positives, "impressions"
        )
        means = [float(gauc[0]), float(coverage.groups[0])]
        for value in values.values():
            mean, _ = group_mean(value[:, None], often, often, "impressions")
            means.append(float(mean[0]))
        return dict(zip(self.group_names, means, strict=True))

    def resampled(self, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Every metric on n resamples: of the groups if there are any, else of rows."""
        draws = [self._resample(rng) for _ in range(n)]
        return {name: np.array([d[name] for d in draws]) for name in draws[0]}

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, Runs, np.ndarray, np.ndarray, np.ndarray]:
        """Order of the rows, runs of equal score, and what a row adds to a metric."""
        order = grouped_order(self.p, None)[::-1]
        losses = row_log_loss(self.y, self.p), (self.p.astype(float) - self.y) ** 2
        bins = bin_of(self.p.astype(float), N_BINS, STRATEGY)
        return order, Runs.of_sorted(self.p[order], None), losses[0], losses[1], bins

    @cached_property
    def _units(self) -> tuple[np.ndarray | None, int]:
        """What is drawn: the number of the group of each row, or rows."""
        if self.codes is None:
            return None, len(self.y)
        ids, group = np.unique(self.codes, return_inverse=True)
        return group, len(ids)

    def _resample(self, rng: np.random.Generator) -> dict[str, float]:
        order, runs, log_losses, squares, bins = self._sorted
        group, n_units = self._units
        times = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
        w = (times if group is None else times[group]).astype(np.float64)
        y, p = self.y, self.p.astype(np.float64)
        won, lost, twice = runs.count((w * y)[order], (w * ~y)[order])
        pairs, total, clicks = won[0] * lost[0], w.sum(), w @ y
        found = {
            "roc_auc": twice[0] / (2 * pairs) if pairs else np.nan,
            "log_loss": w @ log_losses / total,
            "brier": w @ squares / total,
            "expected_calibration_error": np.abs(
                np.bincount(bins, weights=w * (p - y))
            ).sum()
            / total,
            "predicted_to_observed": w @ p / clicks if clicks else np.nan,
        }
        return found | self._group_means(None if group is None else times)
