"""What a session's working directory and its process are on one machine, below any spawner."""
