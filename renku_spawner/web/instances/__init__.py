"""Pages and API of a user's instances."""
