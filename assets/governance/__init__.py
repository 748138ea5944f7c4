"""Governance documents: pure functions of a release's manifest, never typed by hand."""
