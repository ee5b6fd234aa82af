"""Run sessions as processes on the machine of the hub."""
