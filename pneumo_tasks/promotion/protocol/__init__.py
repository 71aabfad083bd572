"""The protocol: what has to hold for a promotion, written before the candidate exists."""
