"""From a table of impressions to arrays that a network can read."""

from skmtl.encoding._encoder import TableEncoder
from skmtl.encoding._ragged import RaggedArray
from skmtl.encoding._table import EncodedTable

__all__ = ["EncodedTable", "RaggedArray", "TableEncoder"]
