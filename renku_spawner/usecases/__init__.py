"""Use cases of users and admins, one module per noun."""
