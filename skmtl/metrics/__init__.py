"""Metrics of multi-task ranking: exact, per task and per group; scorers."""

from skmtl.metrics._group_roc_auc import Coverage, group_roc_auc
from skmtl.metrics._probability import (
    brier,
    expected_calibration_error,
    log_loss,
    predicted_to_observed,
)
from skmtl.metrics._report import task_report
from skmtl.metrics._roc_auc import roc_auc
from skmtl.metrics._scorers import (
    get_task_scorer,
    get_task_scorer_names,
    make_task_scorer,
)
from skmtl.metrics._top_k import (
    hit_rate_at_k,
    mrr_at_k,
    ndcg,
    precision_at_k,
    recall_at_k,
)

__all__ = [
    "Coverage",
    "brier",
    "expected_calibration_error",
    "get_task_scorer",
    "get_task_scorer_names",
    "group_roc_auc",
    "hit_rate_at_k",
    "log_loss",
    "make_task_scorer",
    "mrr_at_k",
    "ndcg",
    "precision_at_k",
    "predicted_to_observed",
    "recall_at_k",
    "roc_auc",
    "task_report",
]
