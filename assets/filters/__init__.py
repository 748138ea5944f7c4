"""Filtering: what is measured of a document before anybody decides on it. Nothing here knows a threshold."""
