"""Pretrained embeddings of items, learnt from a log of events."""

from skmtl.embedders._graph_sage import GraphSAGEEmbedder
from skmtl.embedders._pretrained import PretrainedEmbedding
from skmtl.embedders._word2vec import Word2VecEmbedder

__all__ = ["GraphSAGEEmbedder", "PretrainedEmbedding", "Word2VecEmbedder"]
