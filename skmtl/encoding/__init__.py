"""From a table of impressions to arrays that a network can read."""

from skmtl.encoding._encoder import TableEncoder
from skmtl.encoding._table import EncodedTable, RaggedArray

__all__ = ["EncodedTable", "RaggedArray", "TableEncoder"]
