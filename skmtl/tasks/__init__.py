"""What a task is: its kind, the labels that callers give, and their weights."""

from skmtl.tasks.arguments import (
    check_row_weight,
    check_sample_weight,
    task_weights,
)
from skmtl.tasks.kinds import BinaryTask, TaskKind, TaskKinds, binary_kinds
from skmtl.tasks.targets import (
    Targets,
    check_targets,
    warn_of_conditional_tasks,
    warn_of_constant_tasks,
    warn_of_rare_tasks,
)

__all__ = [
    "BinaryTask",
    "Targets",
    "TaskKind",
    "TaskKinds",
    "binary_kinds",
    "check_row_weight",
    "check_sample_weight",
    "check_targets",
    "task_weights",
    "warn_of_conditional_tasks",
    "warn_of_constant_tasks",
    "warn_of_rare_tasks",
]
