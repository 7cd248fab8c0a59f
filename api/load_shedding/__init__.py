"""Which requests are refused first where the process cannot serve all of them in time."""
