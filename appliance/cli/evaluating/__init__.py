"""Evaluation on labelled scans, shown as it goes."""
