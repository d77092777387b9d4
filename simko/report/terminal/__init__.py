"""What `simko inspect` and `simko watch` show in a terminal, made of a run folder's files alone. No torch."""
