"""What Renku is: values and rules, in plain Python."""
