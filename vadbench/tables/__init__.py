"""Tables drawn from run folders and published numbers, without data sets, features, methods or torch."""
