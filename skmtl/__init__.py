"""Multi-task ranking for people who live in scikit-learn.

``__init__.pyi`` lists the public names. Each is imported when it is first used, so that
``import skmtl`` loads neither torch nor matplotlib.
"""

import lazy_loader

__version__ = "0.1.0.dev0"

__getattr__, _list_names, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["__version__", *_names]


def __dir__() -> list[str]:
    return sorted(__all__)
