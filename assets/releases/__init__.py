"""Releases: immutable sets of documents named by their own hash, and the aliases that serve them."""
