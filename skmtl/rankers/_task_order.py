"""The chain or graph of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from skmtl._messages import shown
from skmtl.modules.graph import topological_order
from skmtl.tasks import Targets, TaskKinds
from skmtl.tasks.arguments import check_names

# A chain of task names, or the tasks that each task follows.
TaskOrder: TypeAlias = Sequence[str] | Mapping[str, str | Sequence[str]] | None


def check_task_order(task_order: TaskOrder, names: list[str]) -> list[list[int]]:
    """Convert a chain or a graph of task names to the parents of every task.

    Parameters
    ----------
    task_order : None, sequence of str, or mapping of str to str or sequence of str
        A chain, by default `names`; or what each task follows.
    names : list of str
        The tasks.

    Returns
    -------
    list of list of int
        For each task, indices of the tasks that it follows.

    Raises
    ------
    ValueError
        For names that are not tasks, a chain that misses or repeats one, and cycles.
    """
    if not isinstance(task_order, Mapping):
        return _chain(names if task_order is None else list(task_order), names)
    check_names(task_order, names, "task_order")
    parents: list[list[int]] = [[] for _ in names]
    for task, before in task_order.items():
        before = [before] if isinstance(before, str) else list(before)
        check_names(before, names, f"task_order of {shown(task)}")
        parents[names.index(task)] = [names.index(b) for b in dict.fromkeys(before)]
    try:
        topological_order(parents)
    except ValueError:
        cyclic = _cyclic(parents)
        raise ValueError(
            f"task_order has a cycle among {[names[t] for t in cyclic]}. A task cannot "
            "follow itself, directly or through others."
        ) from None
    return parents


def clip_to_parents(
    levels: npt.NDArray[np.float64], parents: list[list[int]], kinds: TaskKinds
) -> npt.NDArray[np.float64]:
    """Lower each task's probability to at most those of the tasks that it follows."""
    # Parents first, since they may be lowered themselves.
    for task in topological_order(parents):
        for parent in parents[task]:
            own, other = kinds.outputs[task].start, kinds.outputs[parent].start
            np.minimum(levels[:, own], levels[:, other], out=levels[:, own])
    return levels


def check_binary_edges(
    names: list[str], kinds: TaskKinds, parents: list[list[int]], what: str
) -> None:
    """Raise if tasks whose probabilities are ordered are not binary.

    Raises
    ------
    ValueError
        It names the first such task; `what` says what orders the probabilities.
    """
    for task, before in enumerate(parents):
        for one in (task, *before):
            if before and not kinds.binary[one]:
                binary = [n for n, b in zip(names, kinds.binary, strict=True) if b]
                raise ValueError(
                    f"{what} orders the probabilities of tasks, but task "
                    f"{names[one]!r} is of kind {kinds[one].name}. Let task_order be a "
                    f"mapping that names binary tasks only, which are {binary}."
                )


def with_implied_labels(targets: Targets, parents: list[list[int]]) -> Targets:
    """Add labels that are implied by those of previous tasks.

    A label that was not observed is 0 if a task that it follows is 0: there is no order
    without a click. A task without any observed label gets none.

    Parameters
    ----------
    targets : Targets
        Labels as they were given.
    parents : list of list of int
        For each task, the tasks that it follows.

    Returns
    -------
    Targets
        `targets` itself if no label is implied.
    """
    labels, observed = targets.labels, targets.observed.copy()
    # Parents first, so that an implied label implies others in turn.
    for task in topological_order(parents):
        if not targets.observed[:, task].any():
            continue  # nothing is known about this task
        for parent in parents[task]:
            # Labels that are not observed are stored as 0.
            observed[:, task] |= observed[:, parent] & (labels[:, parent] == 0)
    if (observed == targets.observed).all():
        return targets
    return replace(targets, observed=observed)


def _chain(order: list[str], names: list[str]) -> list[list[int]]:
    check_names(order, names, "task_order")
    if sorted(order) != sorted(names):
        raise ValueError(
            f"task_order must name every task once: found {order}, the tasks are "
            f"{names}."
        )
    parents: list[list[int]] = [[] for _ in names]
    for before, task in pairwise(order):
        parents[names.index(task)] = [names.index(before)]
    return parents


def _cyclic(parents: list[list[int]]) -> list[int]:
    """Return the tasks that lie on a cycle or follow one."""
    left = set(range(len(parents)))
    while ready := {t for t in left if not left & set(parents[t])}:
        left -= ready
    return sorted(left)
