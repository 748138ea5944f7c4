"""How it runs: definitions, checks, automation and the console script."""
