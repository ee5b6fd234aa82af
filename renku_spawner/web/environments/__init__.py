"""Pages and API of managed environments."""
