"""Logging in at GitLab, and the tokens that come of it."""

from .authenticator import RenkuGitLabOAuthenticator
from .tokens import HubTokens

__all__ = ["HubTokens", "RenkuGitLabOAuthenticator"]
