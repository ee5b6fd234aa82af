"""How a session looks to Kubernetes: its pod, its claim, its Secret, and what a pod's status means."""
