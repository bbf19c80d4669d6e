"""Did sharing help, and what do the gates do? Reports on fitted rankers."""

from skmtl.inspection._gates import GateWarning, expert_similarity, gate_report
from skmtl.inspection._transfer import transfer_report

__all__ = ["GateWarning", "expert_similarity", "gate_report", "transfer_report"]
