"""Erasing: a patient, and what old runs may lose. No other room of promotion deletes."""
