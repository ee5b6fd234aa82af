"""The command line `renku-spawner`."""
