"""Personal data: where it is, and the text without it."""
