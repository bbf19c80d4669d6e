"""Public docstrings follow numpydoc, and every one has an example."""

import inspect
from importlib import import_module

import pytest
from numpydoc.validate import validate

from tests.test_public import public_objects

# Style of the sentence, not of the content; "See Also" and "Extended summary" are
# asked for by readers, not by a rule.
IGNORED = {"GL01", "GL02", "GL03", "SS06", "ES01", "SA01", "SA04", "RT02", "GL08"}
# What else some of them lack, by name.
LACKING = {
    # The base classes of parts have the constructor of torch.nn.Module.
    **{
        f"skmtl.modules.{name}": {"PR01"}
        for name in ("Cross", "Embedding", "Mixture", "Pooling", "Sharing", "Towers")
    },
    # An abstract class: what makes its parts is fixed by each subclass.
    "skmtl.rankers.GatedRanker": {"PR01"},
    # Its example is that of to_onnx.
    "skmtl.export.onnx_inputs": {"EX01"},
}


def public_names():
    """Names of public objects; of one that is in two modules the first."""
    first = {}
    for name, found in public_objects().items():
        first.setdefault(id(found), name)
    return list(first.values())


def public_methods():
    for name in public_names():
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


@pytest.mark.parametrize("name", public_names())
def test_public_docstring(name):
    assert inspect.getdoc(resolve(name)), f"{name} has no docstring"
    errors = [e for e in validate(name)["errors"] if e[0] not in IGNORED]
    lacking = LACKING.get(name, set())
    assert lacking <= {e[0] for e in errors}, "take it out of LACKING"
    errors = [e for e in errors if e[0] not in lacking]
    assert not errors, errors


@pytest.mark.parametrize("name", list(public_methods()))
def test_public_method_docstring(name):
    errors = [e for e in validate(name)["errors"] if e[0] not in {*IGNORED, "EX01"}]
    assert not errors, errors
