"""What ``zmart up`` runs: embedded servers, their supervisor, the folder they live in."""
