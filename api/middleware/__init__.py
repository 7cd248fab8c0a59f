"""What every request passes outside the routes, also those that match none."""
