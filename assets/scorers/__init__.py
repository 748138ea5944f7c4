"""Scorers: what models say of a document, held beside it, and how well each says it."""
