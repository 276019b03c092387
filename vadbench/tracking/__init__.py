"""MLflow: log runs and show them."""
