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
        Where to write. An existing file is replaced atomically: after a crash it is
        either the old one or the new one.
    include_training_state : bool, default=True
        Whether the file holds the state of the optimisers, so that `partial_fit` and
        ``warm_start`` can continue. If False, the file has about a third of the size,
        and both raise an error after loading.
    custom_objects : mapping of str to object, default=None
        Your own objects in the estimator, under names of your choice: functions,
        callbacks and modules that are hyperparameters, classes of parts, and the class
        of its loss weighting or of the estimator itself. The file holds the names and
        the learnt state of instances; pass the same mapping to `load`.

    Raises
    ------
    ValueError
        For what a file without code cannot hold, unless it is in `custom_objects`:
        callables, such as those in `callbacks` and `scoring`, and instances of classes
        other than those of skmtl, plain Python, numpy and pandas, the splitters of
        scikit-learn, the optimisers of `torch.optim` and the solvers of TorchJD. The
        message names the attribute.
    ImportError
        If safetensors is not installed. It comes with the extra ``safe``.

    See Also
    --------
    load : Read the file.
    skmtl.export.to_onnx : A file that predicts without Python.

    Notes
    -----
    The file is in the safetensors format, which libraries in many languages read. All
    arrays are tensors, including strings, as bytes in UTF-8. Everything else is JSON in
    the metadata, with the version of the format and a SHA-256 of the whole content.

    Hyperparameters are saved too. Two of them are paths that a later fit of the loaded
    ranker writes to: `scratch_dir`, and the path of a `Checkpoint` among the callbacks.

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
        Device on which rankers predict, such as "cpu" for one that was trained on a
        GPU. None for the device that they were trained on.
    custom_objects : mapping of str to object, default=None
        The mapping that the file was saved with. A file can only refer to these objects
        and to a fixed list of classes: it cannot make Python import anything else.

    Returns
    -------
    estimator
        The saved estimator; its predictions are bit-identical.

    Raises
    ------
    ValueError
        If the file is damaged, was not written by skmtl, is of a later format, names an
        unknown class, or needs a custom object that is not passed.
    ImportError
        If safetensors is not installed. It comes with the extra ``safe``.

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
    """Return the bytes that `save` writes."""
    writer = Writer(write_object, include_training_state, custom_objects or {})
    state = writer.write(estimator, type(estimator).__name__)
    if not isinstance(state, dict) or "class" not in state.get("object", {}):
        raise ValueError(
            f"A {type(estimator).__name__} is not an estimator of skmtl, so it cannot "
            "be saved. Save the ranker, encoder or embedder itself."
        )
    text = {
        "skmtl_version": skmtl.__version__,
        "class": type(estimator).__name__,
        # JSON has no NaN; the writer turns them into objects.
        "state": json.dumps(state, allow_nan=False, separators=(",", ":")),
    }
    return pack(writer.arrays, text)


def from_bytes(
    data: bytes,
    device: str | None = None,
    custom_objects: Mapping[str, object] | None = None,
) -> Any:
    """Return the estimator that `to_bytes` wrote."""
    arrays, metadata = unpack(data)
    try:
        state = json.loads(metadata["state"])
        return Reader(arrays, read_object, device, custom_objects or {}).read(state)
    except (RefusedError, ImportError):
        raise
    except Exception as error:  # a forged file can make numpy or torch raise anything
        raise DamagedFileError(
            "The file does not describe an estimator of skmtl: "
            f"{type(error).__name__}: {error}"
        ) from error
