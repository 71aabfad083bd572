import pytest

from pneumo_tasks.errors import BadConfiguration
from pneumo_tasks.settings import RUN_PARAMS, Settings


def test_the_environment_is_read_and_a_param_lies_over_it(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PNEUMO_MIN_RECALL", "0.91")
    assert Settings.load().min_recall == 0.91
    assert Settings.for_run({"min_recall": 0.97}).min_recall == 0.97
    assert Settings.for_run({"min_recall": None}).min_recall == 0.91


def test_a_wrong_value_is_refused_with_its_name_and_what_is_allowed(environment: None) -> None:
    with pytest.raises(BadConfiguration, match=r"min_recall.*less than or equal to 1 \(got 2\)"):
        Settings.load({"min_recall": 2})


def test_a_run_may_not_choose_the_store_or_the_credentials(environment: None) -> None:
    for name in ("s3_endpoint", "bucket", "s3_secret_key", "demo", "split_salt"):
        assert name not in RUN_PARAMS
        with pytest.raises(BadConfiguration, match=name):
            Settings.for_run({name: "elsewhere"})


def test_every_param_is_a_setting() -> None:
    assert set(RUN_PARAMS) <= set(Settings.model_fields)


def test_a_random_backbone_is_for_the_demo_alone(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().backbone_weights == "random"
    monkeypatch.delenv("PNEUMO_DEMO")
    with pytest.raises(BadConfiguration, match="make demo"):
        Settings.load()


def test_secrets_are_never_shown(environment: None) -> None:
    settings = Settings.load({"s3_access_key": "me", "s3_secret_key": "hush-hush"})
    assert "hush-hush" not in repr(settings)
    with pytest.raises(BadConfiguration) as caught:
        Settings.load({"s3_secret_key": "hush-hush"})
    assert "hush-hush" not in str(caught.value)


def test_settings_cannot_be_changed_afterwards(settings: Settings) -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.min_recall = 0.1
