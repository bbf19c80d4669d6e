"""What `show_versions` prints."""

from importlib import metadata

import numpy as np
import torch

import skmtl
from skmtl._versions import package_versions


def test_it_prints_what_is_running(capsys):
    assert skmtl.show_versions() is None
    printed = capsys.readouterr().out
    assert f"numpy: {np.__version__}\n" in printed
    # `torch.__version__` also names the build, such as +cpu or +cu130.
    assert f"torch: {metadata.version('torch')}\n" in printed
    assert f"torch threads: {torch.get_num_threads()}\n" in printed
    assert f"skmtl: {metadata.version('skmtl')}\n" in printed


def test_extras_are_listed_once_and_may_be_missing(monkeypatch):
    lines = ['Plot-lib>=3; extra == "plot"', "numpy>=2.0", 'numpy>=2.0; extra == "a"']
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    versions = package_versions()
    assert list(versions) == ["numpy", "pip", "Plot-lib", "skmtl"]
    assert versions["Plot-lib"] == "not installed"


def test_a_folder_that_is_not_installed(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert package_versions()["numpy"] == np.__version__


def test_the_version_is_that_of_the_installation():
    assert skmtl.__version__ == metadata.version("skmtl")
