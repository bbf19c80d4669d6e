"""Save estimators to files that hold no code, and load them."""

from skmtl.persistence._registry import trusted_types

# `save` and `load` without a file, to try damaged bytes on.
from skmtl.persistence._save import from_bytes as from_bytes
from skmtl.persistence._save import load, save
from skmtl.persistence._save import to_bytes as to_bytes

__all__ = ["load", "save", "trusted_types"]
