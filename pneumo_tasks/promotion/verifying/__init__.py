"""Verifying: whether everything in the bucket is what was written, and since when it is signed."""
