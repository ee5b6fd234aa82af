"""Adapt Renku to JupyterHub: installation, startup, admission of servers, tokens and log-in."""
