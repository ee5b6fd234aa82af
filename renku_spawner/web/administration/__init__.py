"""Pages and API for admins."""
