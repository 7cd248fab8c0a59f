"""What operators do: acts with their audit rows, and the orders that ask for them."""
