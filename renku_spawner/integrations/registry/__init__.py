"""Clients for image registries: manifests, configurations and attestations."""
