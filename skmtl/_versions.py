"""Versions of skmtl and its dependencies, for bug reports."""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata


def show_versions() -> None:
    """Print the versions of Python, skmtl and its dependencies, and the hardware.

    Include the output in a bug report.

    Examples
    --------
    >>> import skmtl
    >>> skmtl.show_versions()
    System
         python: ...
    machine: ...
    """
    import joblib
    import torch

    cuda = torch.version.cuda
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    system = {
        "python": sys.version.replace("\n", " "),
        "executable": sys.executable,
        "machine": platform.platform(),
        "cpus": str(joblib.cpu_count()),
        "torch threads": str(torch.get_num_threads()),
        "cuda": f"{cuda}, {', '.join(gpus) or 'no GPU'}" if cuda else "not built in",
    }
    _show("System", system)
    _show("Packages", package_versions())


def package_versions() -> dict[str, str]:
    """Return the versions of skmtl and its dependencies, including extras, by name."""
    names = {"skmtl", "pip"}
    try:
        required = metadata.requires("skmtl") or []
    except metadata.PackageNotFoundError:
        # Run from a folder, without an installation.
        required = ["lazy_loader", "numpy", "pandas", "scikit-learn", "scipy", "torch"]
    for requirement in required:
        # The name comes first, before extras, versions and markers.
        match = re.match(r"[\w.-]+", requirement)
        assert match is not None, requirement
        names.add(match.group())
    versions = {}
    for name in sorted(names, key=str.lower):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _show(title: str, values: dict[str, str]) -> None:
    print(title)
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name:>{width}}: {value}")
    print()
