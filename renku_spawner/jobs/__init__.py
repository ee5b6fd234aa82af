"""Periodic work of the hub."""
