"""Sources: the registry of the sources file, the readers of its formats, and ingestion that loses nothing."""
