"""All metrics of one task, and their bootstrap."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import norm

from skmtl.metrics._group_roc_auc import group_mean
from skmtl.metrics._probability import (
    bin_of,
    brier_of,
    calibration_error_of,
    log_loss_of,
    ratio_of,
    row_log_loss,
)
from skmtl.metrics._ranking import Ranking
from skmtl.metrics._roc_auc import Areas, grouped_order, prepare_areas
from skmtl.metrics._runs import Runs
from skmtl.metrics._top_k import GROUP_METRICS, Relevance
from skmtl.metrics._validation import Labels

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
        # Rows without a label are left out already.
        labels = Labels(self.y[None], None, ["task"])
        found = [
            float(prepare_areas(labels)(self.p).auc[0, 0]),
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
    def by_group(self) -> tuple[Areas, Relevance, dict[str, np.ndarray]]:
        """Areas and every rank metric of each group, by rising code."""
        assert self.codes is not None
        labels = Labels(self.y[None], None, ["task"])
        areas = prepare_areas(labels, self.codes)(self.p)
        rows = Relevance(self.y.astype(np.float64), self.codes, self.k)
        ranking = Ranking.of(self.p, self.codes)
        values = {
            name: np.where(rows.clicks > 0, metric(ranking, rows), np.nan)
            for name, metric in GROUP_METRICS.items()
        }
        return areas, rows, values

    def _group_means(self, times: np.ndarray | None) -> dict[str, float]:
        """GAUC and the rank metrics, with each group counted `times` times."""
        if self.codes is None:
            return {}
        areas, rows, values = self.by_group
        often = np.ones((len(rows.clicks), 1)) if times is None else times[:, None]
        impressions = often * (areas.positives + areas.negatives)
        gauc, coverage = group_mean(
            areas.auc, impressions, areas.positives, "impressions"
        )
        means = [float(gauc[0]), float(coverage.groups[0])]
        for value in values.values():
            # Groups weigh the same, each as often as it was drawn.
            mean, _ = group_mean(value[:, None], often, often, "impressions")
            means.append(float(mean[0]))
        return dict(zip(self.group_names, means, strict=True))

    def resampled(self, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Every metric on n resamples: of the groups if there are any, else of rows."""
        draws = [self._resample(rng) for _ in range(n)]
        return {name: np.array([d[name] for d in draws]) for name in draws[0]}

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, Runs, np.ndarray, np.ndarray, np.ndarray]:
        """Order of rows, runs of equal score, and what each row adds to a metric."""
        # Sorted once: a resample changes only how often each row counts.
        order = grouped_order(self.p, None)[::-1]
        losses = row_log_loss(self.y, self.p), (self.p.astype(float) - self.y) ** 2
        bins = bin_of(self.p.astype(float), N_BINS, STRATEGY)
        return order, Runs.of_sorted(self.p[order], None), losses[0], losses[1], bins

    @cached_property
    def _units(self) -> tuple[np.ndarray | None, int]:
        """Group number of each row, None if rows are drawn, and the number of units."""
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
        _, _, area = runs.areas((w * y)[order], (w * ~y)[order])
        total, clicks = w.sum(), w @ y
        # Weighted means of what each row adds, so that nothing is sorted here.
        found = {
            "roc_auc": area[0],
            "log_loss": w @ log_losses / total,
            "brier": w @ squares / total,
            "expected_calibration_error": np.abs(
                np.bincount(bins, weights=w * (p - y))
            ).sum()
            / total,
            "predicted_to_observed": w @ p / clicks if clicks else np.nan,
        }
        return found | self._group_means(None if group is None else times)


def auc_interval(y: np.ndarray, score: np.ndarray, level: float) -> tuple[float, float]:
    """Confidence interval of the ROC AUC, cut to [0, 1].

    With ``V10`` the share of negatives that each positive row beats and ``V01`` the
    share of positives that each negative row loses to (ties count half), the variance
    of the area is ``var(V10) / m + var(V01) / n`` for ``m`` positives and ``n``
    negatives (DeLong, DeLong and Clarke-Pearson, 1988). Sorting gives the shares of all
    rows at once (Sun and Xu, IEEE Signal Processing Letters 21(11), 2014; they sum
    midranks, here two binary searches count the same).

    NaN with fewer than two rows of a class.
    """
    positive, negative = np.sort(score[y]), np.sort(score[~y])
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        return np.nan, np.nan
    # A tie with a negative row is half a win.
    beaten = _midcount(negative, positive) / n
    lost_to = 1 - _midcount(positive, negative) / m
    error = np.sqrt(beaten.var(ddof=1) / m + lost_to.var(ddof=1) / n)
    reach = float(norm.ppf(0.5 + level / 2) * error)
    area = float(beaten.mean())
    return max(area - reach, 0.0), min(area + reach, 1.0)


def _midcount(ranked: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Ranked values below each value, plus half of those equal to it."""
    below = ranked.searchsorted(values, "left")
    return (below + ranked.searchsorted(values, "right")) / 2
