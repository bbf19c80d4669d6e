"""One safetensors file: arrays, a text that describes them, and a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from skmtl._extras import import_extra

# Version of the format. Files of older versions are converted when they are read.
VERSION = 1

Arrays = dict[str, np.ndarray]


class RefusedError(ValueError):
    """A file is refused."""


class DamagedFileError(RefusedError):
    """A file is damaged, or was not written by skmtl."""


def pack(arrays: Arrays, text: Mapping[str, str]) -> bytes:
    """Return the bytes of a file.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Numbers and booleans.
    text : mapping of str to str
        Metadata.
    """
    safetensors = import_extra("safetensors.numpy", "safe", "Saving an estimator")
    metadata = {"format": "skmtl", "format_version": str(VERSION), **text}
    metadata["sha256"] = _checksum(arrays, metadata)
    found: bytes = safetensors.save(arrays, metadata)
    return found


def unpack(data: bytes) -> tuple[Arrays, dict[str, str]]:
    """Return the arrays and metadata of a file.

    Raises
    ------
    ValueError
        If the file is damaged or of an unknown version; the message says why.
    """
    safetensors = import_extra("safetensors.numpy", "safe", "Loading an estimator")
    try:
        arrays = safetensors.load(data)
        metadata = _metadata(data)
    except Exception as error:  # safetensors has its own errors, numpy raises others
        raise DamagedFileError(
            f"The file is not a whole safetensors file: {error}."
        ) from error
    if metadata.get("format") != "skmtl":
        raise DamagedFileError(
            "The file was not written by skmtl: its metadata have "
            f"format={metadata.get('format')!r}."
        )
    version = metadata.get("format_version", "")
    # `int` would also read "+1", "1_0" and digits of other scripts.
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
            "The file is damaged: its checksum does not match its content. Copy it "
            "again, or save the estimator again."
        )
    return arrays, metadata


def _metadata(data: bytes) -> dict[str, str]:
    """Read the metadata, which safetensors returns for files but not for bytes."""
    length = int.from_bytes(data[:8], "little")
    found = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return dict(found)


def _checksum(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    """SHA-256 of everything in a file, independent of the order in it."""
    digest = hashlib.sha256()

    def add(*parts: object) -> None:
        for part in parts:
            # With its length, so that parts cannot be divided differently. Names may
            # contain lone surrogates.
            bytes_ = str(part).encode("utf-8", "surrogatepass")
            digest.update(len(bytes_).to_bytes(8, "little") + bytes_)

    for key in sorted(metadata):
        add(key, metadata[key])
    for name in sorted(arrays):
        array = arrays[name]
        add(name, array.dtype.name, array.shape)
        # The memory of an empty array cannot be cast.
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()
