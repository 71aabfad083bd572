"""What people are told of a run: the report, the note, the question."""
