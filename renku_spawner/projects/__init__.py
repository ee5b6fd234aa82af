"""Where projects come from."""
