"""Where Renku remembers: the only place that knows SQL."""
