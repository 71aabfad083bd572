"""Runs: how each one stands, what it waits for, and what a list shows of it."""
