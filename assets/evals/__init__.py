"""Evaluation: what the data is worth, what was caught, and whether the gates hold."""
