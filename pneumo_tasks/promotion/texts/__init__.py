"""What people read, filled in from values: the templates and the model card. Reads no bucket."""
