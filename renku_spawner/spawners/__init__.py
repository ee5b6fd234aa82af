"""Session spawners: the common base, and the backends for Kubernetes and for a single machine."""
