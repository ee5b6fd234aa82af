"""Reaches people who do not look at the hub: by e-mail, or through a program that an admin names."""
