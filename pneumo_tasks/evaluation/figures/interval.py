"""An interval as it is written down; how each is found is in ``intervals``."""

from pydantic import BaseModel, ConfigDict


class Interval(BaseModel):
    """A two-sided interval; ``level`` is its nominal coverage."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    level: float = 0.95
