"""Public docstrings follow numpydoc, and every one has an example."""

import inspect
from importlib import import_module

import pytest
from numpydoc.validate import validate

import skmtl
from skmtl import modules

MODULES = [
    "skmtl.calibration",
    "skmtl.datasets",
    "skmtl.displays",
    "skmtl.embedders",
    "skmtl.inspection",
    "skmtl.metrics",
    "skmtl.model_selection",
    "skmtl.modules",
    "skmtl.output_weights",
    "skmtl.sources",
    "skmtl.stacking",
    "skmtl.weighting",
]
# Style of the sentence, not of the content; "See Also" and "Extended summary" are
# asked for by readers, not by a rule.
IGNORED = {"GL01", "GL02", "GL03", "SS06", "ES01", "SA01", "SA04", "RT02", "GL08"}
BASES = [modules.Cross, modules.Embedding, modules.Mixture, modules.Pooling]
BASES += [modules.Sharing, modules.Towers]


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
                public = not method.startswith("_") and inspect.isfunction(value)
                if public and not documented_by_a_base(obj, method):
                    yield f"{name}.{method}"


def documented_by_a_base(cls, method):
    """Such a method of a part of a network says only what differs, if anything."""
    if not cls.__module__.startswith("skmtl.modules"):
        return False
    return any(method in vars(base) for base in cls.__mro__[1:])


def resolve(name):
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", public_objects())
def test_public_docstring(name):
    assert inspect.getdoc(resolve(name)), f"{name} has no docstring"
    result = validate(name)
    # The base classes of parts have the constructor of torch.nn.Module.
    ignored = IGNORED | ({"PR01"} if resolve(name) in BASES else set())
    errors = [e for e in result["errors"] if e[0] not in ignored]
    assert not errors, errors


@pytest.mark.parametrize("name", list(public_methods()))
def test_public_method_docstring(name):
    errors = [e for e in validate(name)["errors"] if e[0] not in {*IGNORED, "EX01"}]
    assert not errors, errors
