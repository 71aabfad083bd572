"""The registry: versions that never change, and the pointer to the one that serves."""
