"""What a request says: identifiers, parameters and bodies, checked at the edge."""
