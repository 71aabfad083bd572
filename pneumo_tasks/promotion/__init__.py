"""From an evaluation to the champion; the rooms stand in the order that docs/architecture.md draws."""
