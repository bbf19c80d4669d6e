"""Base classes of estimators that can be saved."""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from importlib import import_module
from os import PathLike
from typing import Any, Self, SupportsIndex

from sklearn.base import BaseEstimator


class SaveMixin:
    """Estimators with `save` and `load`, which also go through skops."""

    def save(
        self,
        path: str | PathLike[str],
        *,
        include_training_state: bool = True,
        custom_objects: Mapping[str, object] | None = None,
    ) -> None:
        """Write the estimator to one file that holds no code.

        The file is in the safetensors format. See :func:`skmtl.save`.

        Parameters
        ----------
        path : str or path-like
            Where to write. An existing file is replaced atomically.
        include_training_state : bool, default=True
            Whether the file holds the state of the optimisers, so that `partial_fit`
            and ``warm_start`` can continue. If False, the file has about a third of the
            size. Estimators that are not trained by optimisers have no such state.
        custom_objects : mapping of str to object, default=None
            Your own objects in the estimator, under names that the file holds instead.
            See :func:`skmtl.save`.

        Raises
        ------
        ValueError
            For what a file without code cannot hold, such as a callable; the message
            names it.
        ImportError
            If safetensors is not installed, which comes with the extra ``safe``.
        """
        # Imported late: the package of files imports all estimators.
        persistence = import_module("skmtl.persistence")
        persistence.save(
            self,
            path,
            include_training_state=include_training_state,
            custom_objects=custom_objects,
        )

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        device: str | None = None,
        custom_objects: Mapping[str, object] | None = None,
    ) -> Self:
        """Read an estimator of this class from a file of `save`.

        Parameters
        ----------
        path : str or path-like
            The file.
        device : str or None, default=None
            Device on which a ranker predicts, such as "cpu" for one that was trained on
            a GPU. None for the device that it was trained on.
        custom_objects : mapping of str to object, default=None
            The mapping that the file was saved with.

        Returns
        -------
        estimator
            The saved estimator; its predictions are bit-identical.

        Raises
        ------
        ValueError
            If the file is damaged, of a later format, or holds another class.
        ImportError
            If safetensors is not installed, which comes with the extra ``safe``.
        """
        found = import_module("skmtl.persistence").load(
            path, device=device, custom_objects=custom_objects
        )
        if not isinstance(found, cls):
            raise ValueError(
                f"The file holds a {type(found).__name__}, not a {cls.__name__}. Use "
                f"{type(found).__name__}.load or skmtl.load."
            )
        return found

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        # pickle and copy work as usual, without the __getstate__ below.
        base: Any = super()
        return copyreg.__newobj__, (type(self),), base.__getstate__()  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, object]:
        # For skops: bytes instead of objects, whose types users would have to trust one
        # by one, and of a network that skorch pickles.
        persistence = import_module("skmtl.persistence")
        return {"saved": persistence.to_bytes(self)}

    def __setstate__(self, state: dict[str, object]) -> None:
        if set(state) == {"saved"}:
            found = import_module("skmtl.persistence").from_bytes(state["saved"])
            if type(found) is not type(self):
                raise ValueError(
                    f"The state of a {type(self).__name__} holds a "
                    f"{type(found).__name__}."
                )
            state = vars(found)
        base: Any = super()
        base.__setstate__(state)


class MetaSaveMixin(SaveMixin):
    """Estimators around another one, which can be saved if that is a ranker."""

    def __getstate__(self) -> dict[str, object]:
        try:
            return super().__getstate__()
        except ValueError:
            # Around another estimator than a ranker, which skops handles itself.
            state: dict[str, object] = BaseEstimator.__getstate__(self)
            return state
