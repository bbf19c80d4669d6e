"""Tables that are read block by block: Parquet files, datasets and queries."""

from skmtl.sources.parquet import ParquetFiles

__all__ = ["ParquetFiles"]
