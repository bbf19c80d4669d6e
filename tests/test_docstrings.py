"""Public docstrings follow numpydoc, and every one has an example."""

import inspect
from importlib import import_module

import pytest
from numpydoc.validate import validate

import skmtl

MODULES = [
    "skmtl.calibration",
    "skmtl.datasets",
    "skmtl.displays",
    "skmtl.embedders",
    "skmtl.inspection",
    "skmtl.metrics",
    "skmtl.model_selection",
    "skmtl.output_weights",
    "skmtl.sources",
    "skmtl.stacking",
    "skmtl.weighting",
]
# Style of the sentence, not of the content; "See Also" and "Extended summary" are
# asked for by readers, not by a rule.
IGNORED = {"GL01", "GL02", "GL03", "SS06", "ES01", "SA01", "SA04", "RT02", "GL08"}


def public_objects():
    top = [n for n in skmtl.__all__ if callable(getattr(skmtl, n))]
    names = [f"skmtl.{n}" for n in top]
    for module in MODULES:
        names += [f"{module}.{n}" for n in import_module(module).__all__]
    return names


def public_methods():
    for name in public_objects():
        obj = resolve(name)
        if inspect.isclass(obj):
            for method, value in vars(obj).items():
                if not method.startswith("_") and inspect.isfunction(value):
                    yield f"{name}.{method}"


def resolve(name):
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", public_objects())
def test_public_docstring(name):
    assert inspect.getdoc(resolve(name)), f"{name} has no docstring"
    result = validate(name)
    errors = [e for e in result["errors"] if e[0] not in IGNORED]
    assert not errors, errors


@pytest.mark.parametrize("name", list(public_methods()))
def test_public_method_docstring(name):
    errors = [e for e in validate(name)["errors"] if e[0] not in {*IGNORED, "EX01"}]
    assert not errors, errors
