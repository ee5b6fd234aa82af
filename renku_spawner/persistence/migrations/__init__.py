"""Numbered migrations of the database schema. Their code is never edited after a release."""
