"""protocol.yaml: the limits of the gate, who approves, and the rules for the test set, as one document."""

from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.protocol.bounds import DIRECTIONS
from pneumo_tasks.settings import Settings
from pneumo_tasks.storage.object_store import canonical_json, sha256

if TYPE_CHECKING:
    from pneumo_tasks.promotion.protocol.budget import ErrorBudget

MOST_BYTES = 65_536


class ApprovalRules(BaseModel):
    """Who may approve a promotion, a rollback or another protocol.

    ``approvers`` are names of users, or ``role:NAME`` for the roles of the Airflow UI; empty: anybody who
    may answer. ``starter_may_approve`` says whether the person who started may also approve.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    approvers: tuple[str, ...] = ()
    starter_may_approve: bool = False
    min_reason_letters: int = Field(10, ge=0, le=1000)


class TestSetRules(BaseModel):
    """Which senders may add test films (prefixes of batch ids; empty: any), whether the set is frozen,
    and how many looks it may have (None: any).
    """

    __test__ = False  # a name that pytest would take for a test
    model_config = ConfigDict(frozen=True, extra="forbid")

    may_add: tuple[str, ...] = ()
    frozen: bool = False
    most_looks: int | None = Field(None, ge=1)


class BudgetRules(BaseModel):
    """The largest loss of recall over the life of a test set, and the chance of promoting beyond it.

    ``steps``: how many sideways steps may be asked for; each spends its part of the chance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cumulative_margin: float = Field(0.03, gt=0, le=1)
    specificity_margin: float = Field(0.05, gt=0, lt=1)
    chance: float = Field(0.05, gt=0, lt=1)
    steps: int = Field(4, ge=1, le=1000)
    weeks: int = Field(52, ge=1)

    def spending(self) -> "ErrorBudget":
        """The budget as the gate counts it."""
        from pneumo_tasks.promotion.protocol.budget import ErrorBudget

        margins = {"recall": self.cumulative_margin, "specificity": self.specificity_margin}
        return ErrorBudget(total=self.chance, steps=self.steps, margins=margins)


class Protocol(BaseModel):
    """What has to hold for a promotion. ``limits`` holds a value for every name of DIRECTIONS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    intended_use: str = Field(min_length=1, max_length=4000)
    limits: dict[str, Any]
    approval: ApprovalRules = ApprovalRules()
    test_set: TestSetRules = TestSetRules()
    budget: BudgetRules = BudgetRules()

    @field_validator("limits")
    @classmethod
    def _are_settings(cls, limits: dict[str, Any]) -> dict[str, Any]:
        """Every limit is a valid value of the setting of its name; those left out have its default."""
        unknown = sorted(set(limits) - set(DIRECTIONS))
        if unknown:
            raise ValueError(f"unknown limits {', '.join(unknown)}; known: {', '.join(DIRECTIONS)}")
        defaults = {name: Settings.model_fields[name].default for name in DIRECTIONS}
        return limits_of(Settings.model_construct(**{**defaults, **_validated(limits)}))

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The embedded default: the limits of the environment, and nobody named who approves."""
        return cls(
            name="embedded default",
            intended_use="Research and engineering; not for diagnosis. Not a medical device.",
            limits=limits_of(settings),
            approval=ApprovalRules(starter_may_approve=True, min_reason_letters=1),
        )

    @property
    def body(self) -> bytes:
        """The canonical bytes: one sequence a protocol, however its file was written."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """The sha256 of ``body``; decisions and reports name the protocol by it."""
        return sha256(self.body)

    def effective_limits(self) -> dict[str, Any]:
        """The limits, a required approval where approvers are named."""
        named = bool(self.approval.approvers) or bool(self.limits["require_approval"])
        return {**self.limits, "require_approval": named}


def limits_of(settings: Settings) -> dict[str, Any]:
    """The values of the settings that a protocol governs."""
    return {name: getattr(settings, name) for name in DIRECTIONS}


def parse_protocol(data: bytes, where: str) -> Protocol:
    """Read protocol.yaml (or JSON, which is YAML); BadConfiguration names the field and what is allowed."""
    import yaml

    if len(data) > MOST_BYTES:
        raise BadConfiguration(
            "the protocol is too large", where=where, found=f"{len(data)}, limit {MOST_BYTES}"
        )
    try:
        return Protocol.model_validate(yaml.safe_load(data.decode()))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        found = " ".join(str(error).split())[:300]
        raise BadConfiguration("the protocol is no YAML", where=where, found=found) from None
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"
        raise BadConfiguration(
            "the protocol is not valid", where=where, found=found, do="See `pneumo protocol show --yaml`."
        ) from None


def _validated(limits: dict[str, Any]) -> dict[str, Any]:
    """The limits as the settings' own fields take them; ValueError names the first that is not allowed."""
    try:
        checked = Settings.load(limits)
    except BadConfiguration as error:
        raise ValueError(str(error)) from None
    return {name: getattr(checked, name) for name in limits}
