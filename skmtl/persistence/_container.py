"""One safetensors file: arrays, a text that says what they are, and a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from skmtl._extras import import_extra

# Version of the format. A file of an older one is brought up to date when it is read.
VERSION = 1

Arrays = dict[str, np.ndarray]


class RefusedError(ValueError):
    """A file is not read."""


class DamagedFileError(RefusedError):
    """What a file says is not what was written, or was never written by skmtl."""


def pack(arrays: Arrays, text: Mapping[str, str]) -> bytes:
    """Bytes of a file.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Numbers and booleans.
    text : mapping of str to str
        What goes beside them, as metadata of the format.
    """
    safetensors = import_extra("safetensors.numpy", "safe", "Saving an estimator")
    metadata = {"format": "skmtl", "format_version": str(VERSION), **text}
    metadata["sha256"] = _checksum(arrays, metadata)
    found: bytes = safetensors.save(arrays, metadata)
    return found


def unpack(data: bytes) -> tuple[Arrays, dict[str, str]]:
    """Arrays and metadata of a file, whole and of a version that is known.

    Raises
    ------
    ValueError
        With the reason.
    """
    safetensors = import_extra("safetensors.numpy", "safe", "Loading an estimator")
    try:
        arrays = safetensors.load(data)
        metadata = _metadata(data)
    except Exception as error:  # of safetensors' own kind, and what numpy makes of it
        raise DamagedFileError(
            f"The file is not a whole safetensors file: {error}."
        ) from error
    if metadata.get("format") != "skmtl":
        raise DamagedFileError(
            "The file was not written by skmtl: its metadata have "
            f"format={metadata.get('format')!r}."
        )
    version = metadata.get("format_version", "")
    if not (version.isascii() and version.isdecimal() and int(version) >= 1):
        raise DamagedFileError(
            f"The file has no known format version: found {version!r}."
        )
    if int(version) > VERSION:
        raise RefusedError(
            f"The file has format version {int(version)}, and this skmtl reads up to "
            f"{VERSION}. It was written by skmtl {metadata.get('skmtl_version')}: "
            "install that or a later one."
        )
    if metadata.pop("sha256", None) != _checksum(arrays, metadata):
        raise DamagedFileError(
            "The file is damaged: its checksum does not fit what it holds. Copy it "
            "again, or save the estimator again."
        )
    return arrays, metadata


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata, which safetensors gives for files only and not for bytes."""
    length = int.from_bytes(data[:8], "little")
    found = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return dict(found)


def _checksum(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    """SHA-256 of all that a file says, in an order of its own."""
    digest = hashlib.sha256()

    def add(*parts: object) -> None:
        for part in parts:
            bytes_ = str(part).encode("utf-8", "surrogatepass")
            digest.update(len(bytes_).to_bytes(8, "little") + bytes_)

    for key in sorted(metadata):
        add(key, metadata[key])
    for name in sorted(arrays):
        array = arrays[name]
        add(name, array.dtype.name, array.shape)
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()
