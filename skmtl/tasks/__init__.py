"""Tasks: their kinds, labels and weights.

Public are the kinds. All other names are for the rest of the package.
"""

from skmtl.tasks.arguments import TaskKindsLike as TaskKindsLike
from skmtl.tasks.arguments import as_kind as as_kind
from skmtl.tasks.arguments import binary_kinds as binary_kinds
from skmtl.tasks.arguments import check_row_weight as check_row_weight
from skmtl.tasks.arguments import check_sample_weight as check_sample_weight
from skmtl.tasks.arguments import check_some_weight as check_some_weight
from skmtl.tasks.arguments import kinds_by_task as kinds_by_task
from skmtl.tasks.arguments import task_weights as task_weights
from skmtl.tasks.classes import MulticlassTask, OrdinalTask
from skmtl.tasks.kinds import BinaryTask
from skmtl.tasks.kinds import TaskKind as TaskKind
from skmtl.tasks.kinds import TaskKinds as TaskKinds
from skmtl.tasks.regression import RegressionTask
from skmtl.tasks.targets import Targets as Targets
from skmtl.tasks.targets import check_targets as check_targets
from skmtl.tasks.targets import task_names as task_names
from skmtl.tasks.targets import warn_of_conditional_tasks as warn_of_conditional_tasks
from skmtl.tasks.targets import warn_of_constant_tasks as warn_of_constant_tasks
from skmtl.tasks.targets import warn_of_rare_tasks as warn_of_rare_tasks

__all__ = ["BinaryTask", "MulticlassTask", "OrdinalTask", "RegressionTask"]
