"""What the data promises, asset by asset: suites of expectations as JSON, and their validation."""
