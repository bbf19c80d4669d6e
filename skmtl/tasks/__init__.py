"""Tasks: their kinds, labels and weights."""

from skmtl.tasks.arguments import (
    TaskKindsLike,
    as_kind,
    binary_kinds,
    check_row_weight,
    check_sample_weight,
    check_some_weight,
    kinds_by_task,
    task_weights,
)
from skmtl.tasks.classes import MulticlassTask, OrdinalTask
from skmtl.tasks.kinds import BinaryTask, TaskKind, TaskKinds
from skmtl.tasks.regression import RegressionTask
from skmtl.tasks.targets import (
    Targets,
    check_targets,
    task_names,
    warn_of_conditional_tasks,
    warn_of_constant_tasks,
    warn_of_rare_tasks,
)

__all__ = [
    "BinaryTask",
    "MulticlassTask",
    "OrdinalTask",
    "RegressionTask",
    "Targets",
    "TaskKind",
    "TaskKinds",
    "TaskKindsLike",
    "as_kind",
    "binary_kinds",
    "check_row_weight",
    "check_sample_weight",
    "check_some_weight",
    "check_targets",
    "kinds_by_task",
    "task_names",
    "task_weights",
    "warn_of_conditional_tasks",
    "warn_of_constant_tasks",
    "warn_of_rare_tasks",
]
