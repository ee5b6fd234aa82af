"""Metrics and events for operators."""
