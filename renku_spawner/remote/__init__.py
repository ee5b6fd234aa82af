"""What is the same for everybody who asks servers of others: remembering, asking once, leaving alone."""
