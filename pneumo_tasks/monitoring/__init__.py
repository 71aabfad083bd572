"""Monitoring: what the coming weeks say about the model that is live, with a bound on false alarms."""
