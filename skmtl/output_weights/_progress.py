"""scikit-learn's callbacks are told of every part of a search."""

from collections.abc import Callable
from typing import Any


class Progress:
    """Parts of one fit, as tasks of a callback context."""

    def __init__(self, estimator: Any, context: Any) -> None:
        self.estimator, self.context = estimator, context

    def __call__(self, n_parts: int) -> Callable[[], None]:
        """Begin an evaluation of so many parts; call the result after each part."""
        outer = self.context.subcontext(
            task_name="evaluation", max_subtasks=n_parts
        ).call_on_fit_task_begin(estimator=self.estimator)
        done = 0

        def step() -> None:
            nonlocal done
            part = outer.subcontext(task_name="candidates")
            part.call_on_fit_task_begin(estimator=self.estimator)
            part.call_on_fit_task_end(estimator=self.estimator)
            done += 1
            if done == n_parts:
                outer.call_on_fit_task_end(estimator=self.estimator)

        return step
