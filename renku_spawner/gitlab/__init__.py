"""GitLab as the place of projects: asking it as one of the hub's users, within limits."""
