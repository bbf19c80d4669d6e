"""Private scikit-learn symbols, and differences between its versions.

Only this file uses them, so that a new scikit-learn release can break skmtl in one
place only.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from numbers import Integral, Real
from typing import Any, NoReturn, TypeVar

import numpy as np
import sklearn
from sklearn import base
from sklearn.calibration import _SigmoidCalibration as SigmoidCalibration
from sklearn.metrics._scorer import _BaseScorer as BaseScorer
from sklearn.metrics._scorer import _cached_call
from sklearn.utils import _safe_indexing as rows_of
from sklearn.utils._param_validation import (
    HasMethods,
    InvalidParameterError,
    RealNotInt,
    StrOptions,
)
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils._param_validation import (
    validate_parameter_constraints as check_parameters,
)
from sklearn.utils._set_output import _get_output_config as output_config
from sklearn.utils.metadata_routing import _raise_for_params, _routing_enabled
from sklearn.utils.validation import _check_method_params as params_of_rows
from sklearn.utils.validation import _estimator_has as estimator_has

try:
    from sklearn.utils._repr_html.estimator import _VisualBlock as VisualBlock
except ImportError:  # 1.6
    from sklearn.utils._estimator_html_repr import _VisualBlock as VisualBlock
try:
    from sklearn.callback import CallbackContext, CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # before 1.9
    CallbackSupportMixin = None

Method = TypeVar("Method", bound=Callable[..., object])


class Interval(_Interval):
    """Compare numpy's numbers as Python's, since float32 cannot hold the bounds.

    True and False, which Python counts among the integers, are not in it.
    """

    def is_satisfied_by(self, value: object) -> bool:
        # Only one of numpy's floats is a subclass of Python's.
        plain = float(value) if isinstance(value, np.floating) else value
        return bool(super().is_satisfied_by(plain))

    def __contains__(self, value: object) -> bool:
        plain = value.item() if isinstance(value, np.generic) else value
        return not isinstance(plain, bool) and bool(super().__contains__(plain))


# Ranges of hyperparameters. Python integers are unbounded; without a limit, one that no
# array or float can hold would fail somewhere within a fit.
COUNT = Interval(Integral, 1, 2**63 - 1, closed="both")
NOT_NEGATIVE = Interval(Real, 0, sys.float_info.max, closed="both")
FINITE = Interval(Real, -sys.float_info.max, sys.float_info.max, closed="both")
ABOVE_ZERO = Interval(Real, 0, sys.float_info.max, closed="right")


class SilentContext:
    """The context of a fit if scikit-learn has no callbacks: it does nothing."""

    def subcontext(self, **_: object) -> "SilentContext":
        return self

    def call_on_fit_task_begin(self, **_: object) -> "SilentContext":
        return self

    def call_on_fit_task_end(self, **_: object) -> bool:
        return False

    def propagate_callback_context(self, estimator: object) -> AbstractContextManager:
        return nullcontext()


class NoCallbacks:
    """Stand-in for scikit-learn's ``CallbackSupportMixin`` before 1.9."""

    def set_callbacks(self, *callbacks: object) -> NoReturn:
        raise RuntimeError(
            "set_callbacks needs scikit-learn 1.9 or newer, found "
            f"{sklearn.__version__}. Update scikit-learn, or use verbose=1."
        )

    def _init_callback_context(self, **_: object) -> SilentContext:
        return SilentContext()


HAS_CALLBACKS = CallbackSupportMixin is not None
if not HAS_CALLBACKS:
    CallbackContext, CallbackSupportMixin = SilentContext, NoCallbacks


# scikit-learn has no annotations; without these two wrappers, type checkers would lose
# those of the decorated methods.
def _fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]:
    return base._fit_context(
        prefer_skip_nested_validation=prefer_skip_nested_validation
    )


def with_callbacks(method: Method) -> Method:
    return _with_callbacks(method) if HAS_CALLBACKS else method


class available_unless:  # noqa: N801, a decorator as available_if
    """Hide a method if there is a reason to, with an error that states it.

    The error of scikit-learn's ``available_if`` does not say why.

    Parameters
    ----------
    reason : callable
        Returns, for the object, a sentence or None.
    """

    def __init__(self, reason: Callable[[Any], str | None]) -> None:
        self.reason = reason

    def __call__(self, method: Callable[..., object]) -> "available_unless":
        self.method, self.__doc__ = method, method.__doc__
        return self

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self.method
        reason = self.reason(instance)
        if reason is not None:
            # `hasattr` is then False, as for methods under `available_if`.
            raise AttributeError(reason)
        return self.method.__get__(instance, owner)


def scorer_parts(
    scorer: BaseScorer,
) -> tuple[Callable[..., float], int, dict[str, object], tuple[str, ...]]:
    """Return the metric, sign, metric parameters and response methods of a scorer."""
    responses = scorer._response_method
    if isinstance(responses, str):
        responses = (responses,)
    return scorer._score_func, scorer._sign, scorer._kwargs, responses


# The caller that scikit-learn passes to a scorer if nothing is cached.
uncached_call = partial(_cached_call, None)

__all__ = [
    "ABOVE_ZERO",
    "COUNT",
    "FINITE",
    "HAS_CALLBACKS",
    "NOT_NEGATIVE",
    "BaseScorer",
    "CallbackContext",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "RealNotInt",
    "SigmoidCalibration",
    "StrOptions",
    "VisualBlock",
    "_fit_context",
    "_raise_for_params",
    "_routing_enabled",
    "available_unless",
    "check_parameters",
    "estimator_has",
    "output_config",
    "params_of_rows",
    "rows_of",
    "scorer_parts",
    "uncached_call",
    "with_callbacks",
]
