"""Playing series to an appliance."""
