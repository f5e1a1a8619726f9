"""What must outlive the process: the spool of slices and the store of results."""
