"""A project's sessions as a file: read without trust, and written so that git shows what has changed."""
