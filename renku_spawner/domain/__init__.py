"""Values and rules of Renku in plain Python: no I/O, no framework."""
