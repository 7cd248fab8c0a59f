"""What clients see: one definition of every row for the REST answers and the live frames."""
