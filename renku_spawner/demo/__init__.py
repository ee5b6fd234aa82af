"""A demo hub with a few small but real projects."""
