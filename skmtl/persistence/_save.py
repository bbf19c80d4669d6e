"""`save` and `load`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import skmtl
from skmtl._files import write_whole
from skmtl.persistence._container import DamagedFileError, RefusedError, pack, unpack
from skmtl.persistence._objects import read_object, write_object
from skmtl.persistence._values import Reader, Writer


def save(
    estimator: object,
    path: str | PathLike[str],
    *,
    include_training_state: bool = True,
    custom_objects: Mapping[str, object] | None = None,
) -> None:
    """Write an estimator of skmtl to one file that holds no code.

    Parameters
    ----------
    estimator : estimator
        A ranker, `TableEncoder`, an embedder, or `CalibratedTasksCV`,
        `FixedOutputWeights` or `OutputWeightSearchCV` around a ranker; fitted or not.
    path : str or path-like
        Where to write. A file that is there is replaced, at once and whole: after a
        crash there is the old one or the new one.
    include_training_state : bool, default=True
        Whether the file holds what optimisers know, so that `partial_fit` and
        ``warm_start`` continue as if nothing had happened. If False, the file has
        about a third of the size, and both raise an error after loading.
    custom_objects : mapping of str to object, default=None
        What is your own in the estimator, by names of your choice: functions, callbacks
        and modules that are hyperparameters, classes of parts, and classes of its loss
        weighting or of the estimator itself. The file holds the names and what objects
        of these classes have learnt, and `load` takes the same mapping.

    Raises
    ------
    ValueError
        For what a file without code cannot hold: callables, such as those in
        `callbacks` and `scoring`, and objects of other classes than those of skmtl, of
        plain Python, numpy and pandas, unless they are among `custom_objects`. The
        splitters of scikit-learn, the optimisers of `torch.optim` and the solvers of
        TorchJD are known too. The message names the attribute.
    ImportError
        If safetensors is not installed, which comes with the extra ``safe``.

    See Also
    --------
    load : Read the file.
    skmtl.export.to_onnx : A file that predicts without Python.

    Notes
    -----
    The file is in the safetensors format, which libraries in many languages read: all
    arrays are tensors, strings among them as bytes in UTF-8; everything else is JSON in
    the metadata, with the version of the format and a SHA-256 of all the file says.

    Hyperparameters are saved with the rest. Two of them are paths to which a later fit
    of the loaded ranker writes: `scratch_dir`, and that of a `Checkpoint` among the
    callbacks.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> import skmtl
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 3))
    >>> y = (X[:, :2] > 0).astype(int)
    >>> ranker = skmtl.ShareBottom(random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "ranker.safetensors")
    ...     skmtl.save(ranker, path)
    ...     loaded = skmtl.load(path)
    >>> bool((loaded.predict_task_proba(X) == ranker.predict_task_proba(X)).all())
    True
    """
    write_whole(path, to_bytes(estimator, include_training_state, custom_objects))


def load(
    path: str | PathLike[str],
    *,
    device: str | None = None,
    custom_objects: Mapping[str, object] | None = None,
) -> Any:
    """Read an estimator from a file of `save`, without running code from it.

    Parameters
    ----------
    path : str or path-like
        The file.
    device : str or None, default=None
        Where rankers are to predict, such as "cpu" for one that was trained on a GPU.
        None for the device that they were trained on.
    custom_objects : mapping of str to object, default=None
        What the file was saved with. A file can choose among these, and otherwise among
        the classes of skmtl only: it cannot make Python import anything.

    Returns
    -------
    estimator
        As it was saved; its predictions are equal to the last bit.

    Raises
    ------
    ValueError
        If the file is damaged, was not written by skmtl, is of a later format, holds a
        class that is not known, or needs a custom object that is not given.
    ImportError
        If safetensors is not installed, which comes with the extra ``safe``.

    See Also
    --------
    save : Write the file.

    Examples
    --------
    >>> import tempfile, os
    >>> import skmtl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "ranker.safetensors")
    ...     skmtl.MMoE(n_experts=3).save(path)
    ...     skmtl.load(path)
    MMoE(n_experts=3)
    """
    return from_bytes(Path(path).read_bytes(), device, custom_objects)


def to_bytes(
    estimator: object,
    include_training_state: bool = True,
    custom_objects: Mapping[str, object] | None = None,
) -> bytes:
    """The bytes that `save` writes."""
    writer = Writer(write_object, include_training_state, custom_objects or {})
    state = writer.write(estimator, type(estimator).__name__)
    if not isinstance(state, dict) or "class" not in state.get("object", {}):
        raise ValueError(
            f"A {type(estimator).__name__} is not an estimator of skmtl, and cannot be "
            "saved."
        )
    text = {
        "skmtl_version": skmtl.__version__,
        "class": type(estimator).__name__,
        "state": json.dumps(state, allow_nan=False, separators=(",", ":")),
    }
    return pack(writer.arrays, text)


def from_bytes(
    data: bytes,
    device: str | None = None,
    custom_objects: Mapping[str, object] | None = None,
) -> Any:
    """The estimator that `to_bytes` wrote."""
    arrays, metadata = unpack(data)
    try:
        state = json.loads(metadata["state"])
        return Reader(arrays, read_object, device, custom_objects or {}).read(state)
    except (RefusedError, ImportError):
        raise
    except Exception as error:  # whatever a forged file makes numpy or torch say
        raise DamagedFileError(
            "The file does not describe an estimator of skmtl: "
            f"{type(error).__name__}: {error}"
        ) from error
