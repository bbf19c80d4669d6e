"""Pictures; matplotlib is loaded when one is drawn."""

from skmtl.displays._transfer import TransferDisplay

__all__ = ["TransferDisplay"]
