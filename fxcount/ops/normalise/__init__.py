"""Normalisation: by channel, by sample, of weights; norms of vectors."""
