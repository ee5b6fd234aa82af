"""Pages and API of storages."""
