import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.promotion.protocol.bounds import DIRECTIONS
from pneumo_tasks.promotion.protocol.document import Protocol, parse_protocol
from pneumo_tasks.promotion.protocol.soundness import warnings_of
from pneumo_tasks.settings import Settings

SHORT = b"name: ours\nintended_use: research\nlimits: {min_recall: 0.96}\n"


def test_limits_that_are_left_out_have_their_defaults() -> None:
    protocol = parse_protocol(SHORT, "here")
    assert protocol.limits["min_recall"] == 0.96
    assert set(protocol.limits) == set(DIRECTIONS)


def test_the_digest_does_not_depend_on_how_the_file_is_written() -> None:
    again = b'{"limits": {"min_recall": 0.960}, "intended_use": "research", "name": "ours"}'
    assert parse_protocol(SHORT, "a").digest == parse_protocol(again, "b").digest
    read_back = Protocol.model_validate_json(parse_protocol(SHORT, "a").body)
    assert read_back.digest == parse_protocol(SHORT, "a").digest


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (b"name: x\nintended_use: y\nlimits: {min_recal: 0.9}", "min_recal"),
        (b"name: x\nintended_use: y\nlimits: {min_recall: 7}", "min_recall"),
        (b"name: x\nintended_use: y\nlimits: {min_recall: high}", "min_recall"),
        (b"name: x\nlimits: {}", "intended_use"),
        (b"name: x\nintended_use: y\nlimits: {}\nloopholes: many", "loopholes"),
        (b"[1, 2", "no YAML"),
        (b"!!python/object/apply:os.system ['true']", "no YAML"),
        (b"\xff\xfe", "no YAML"),
        (b"a: " + b"x" * 70_000, "too large"),
    ],
)
def test_a_wrong_protocol_is_refused_by_the_name_of_what_is_wrong(document: bytes, named: str) -> None:
    with pytest.raises(BadConfiguration, match=named):
        parse_protocol(document, "protocol.yaml")


def test_the_embedded_default_has_the_limits_of_the_environment() -> None:
    environment = Settings.load({"min_recall": 0.5, "demo": True})
    assert Protocol.of(environment).limits["min_recall"] == 0.5


def test_named_approvers_make_an_approval_required() -> None:
    with_names = parse_protocol(SHORT + b"approval: {approvers: [ada, grace]}\n", "here")
    assert with_names.effective_limits()["require_approval"] is True
    assert parse_protocol(SHORT, "here").effective_limits()["require_approval"] is False


def test_a_target_that_equals_its_floor_is_a_warning_with_its_probability() -> None:
    (warning,) = warnings_of(parse_protocol(SHORT.replace(b"0.96", b"0.95"), "here"), 390, 234)
    assert "probability 0.5" in warning
    target = b"name: x\nintended_use: y\nlimits: {min_recall: 0.95, target_recall: 0.97}"
    assert warnings_of(parse_protocol(target, "here"), 390, 234) == []
