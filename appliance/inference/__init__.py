"""One queue for all scans, the planes it works on, and the worker that runs the engines."""
