"""Compare finished runs, measure them again and check them for submission."""
