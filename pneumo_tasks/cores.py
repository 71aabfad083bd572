"""How many cores this process may use."""


def available_cores() -> int:
    """The cores that this process may use, at least 1; a container's share of time counts as cores."""
    from joblib import cpu_count

    return int(cpu_count())
