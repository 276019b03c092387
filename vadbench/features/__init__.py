"""Features: making them, storing them, and knowing what made them."""
