"""Scans in progress: each one conducted from its first slice to its report."""
