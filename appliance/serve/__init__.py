"""Ways in: the gRPC services, and HTTP for metrics, health and the triage page."""
