"""What takes minutes or hours to be sure of (`make soak`)."""
