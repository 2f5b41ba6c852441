"""The embedded server: the HTTP API of nova on a plate solver of its own."""
