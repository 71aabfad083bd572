"""What every command has: its bucket, its answer, its progress, and the sentence where a part is missing."""
