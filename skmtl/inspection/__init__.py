"""Reports on transfer, gates, experts and new ids, and selection of one task."""

from skmtl.inspection._cold_start import cold_start_report
from skmtl.inspection._gates import GateWarning, expert_similarity, gate_report
from skmtl.inspection._task_classifier import task_classifier
from skmtl.inspection._transfer import transfer_report

__all__ = [
    "GateWarning",
    "cold_start_report",
    "expert_similarity",
    "gate_report",
    "task_classifier",
    "transfer_report",
]
