"""Who may speak to the appliance, and the trail of who did."""
