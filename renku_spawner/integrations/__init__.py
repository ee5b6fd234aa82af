"""Clients of other services: GitLab, image registries, git servers, mail and webhooks."""
