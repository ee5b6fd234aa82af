"""Run sessions as pods of a Kubernetes cluster."""
