"""The lifecycle. A file named by its stage knows Dagster; a folder is pure logic."""
