"""Multi-task ranking for scikit-learn users.

``__init__.pyi`` lists the public names. Each is imported when it is first used, so that
``import skmtl`` loads neither torch nor matplotlib.
"""

from importlib import metadata

import lazy_loader

try:
    __version__ = metadata.version("skmtl")
except metadata.PackageNotFoundError:  # run from a folder, without an installation
    __version__ = "0+unknown"

__getattr__, _list_names, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["__version__", *_names]


def __dir__() -> list[str]:
    return sorted(__all__)
