"""How fast the project is, each figure against a rival on the same data in the same run."""
