"""Read statements, by subject. Functions accept a connection and return Structs."""
