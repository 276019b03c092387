"""MLflow: logging runs and looking at them."""
