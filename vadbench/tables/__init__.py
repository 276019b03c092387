"""Tables from run folders and published numbers, made without data sets, features, methods or torch."""
