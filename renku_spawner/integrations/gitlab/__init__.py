"""GitLab clients that request projects, files and CI data on behalf of a hub user."""
