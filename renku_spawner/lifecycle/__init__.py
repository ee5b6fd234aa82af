"""The life of an instance: its transitions, its limits and its data."""
