"""One folder for each protocol, all alike; none knows the steps or the coordinator."""
