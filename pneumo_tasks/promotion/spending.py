"""How the error budget stands, as it is written down; what is spent is in ``deciding.steps``."""

from pydantic import BaseModel, ConfigDict


class Spending(BaseModel):
    """How the error budget stands after this run; ``refill``: new test patients that give one asking back."""

    model_config = ConfigDict(frozen=True)

    total: float
    level: float
    asked: int
    left: float
    sideways: str = ""
    refill: dict[str, int] = {}

    @property
    def sentence(self) -> str:
        new = " and ".join(f"{number} {label}" for label, number in sorted(self.refill.items()))
        return (
            f"spent {self.total - self.left:.4g} of {self.total:g} ({self.asked} sideways steps asked for), "
            f"left {self.left:.4g}; {new or 'no'} new test patients give one step back"
        )
