"""Settings of a hub that uses Renku, their validation, and their reload."""
