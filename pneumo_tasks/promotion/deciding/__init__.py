"""Deciding: the rules of the gate, and the decision that every run leaves."""
