"""Every statement that reads, by subject. Functions take a connection and return Structs."""
