"""A hub to try things out: people, projects and repositories that are small but real."""
