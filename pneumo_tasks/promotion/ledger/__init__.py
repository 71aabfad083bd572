"""The ledger, its signatures and its seals: what is written here is never changed."""
