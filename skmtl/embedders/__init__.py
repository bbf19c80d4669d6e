"""Tables of pretrained embeddings, made from a log of events."""

from skmtl.embedders._graph_sage import GraphSAGEEmbedder
from skmtl.embedders._word2vec import Word2VecEmbedder

__all__ = ["GraphSAGEEmbedder", "Word2VecEmbedder"]
