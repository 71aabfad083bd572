"""Moving the champion: a promotion, a rollback, a reset. Nothing else writes the pointer."""
