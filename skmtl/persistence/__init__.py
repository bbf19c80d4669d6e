"""Save estimators to files that hold no code, and load them."""

from skmtl.persistence._registry import trusted_types
from skmtl.persistence._save import from_bytes, load, save, to_bytes

__all__ = ["from_bytes", "load", "save", "to_bytes", "trusted_types"]
