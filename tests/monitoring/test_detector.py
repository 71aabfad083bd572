import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.monitoring.detector import Detector, Stream, Watch, Week, likelihood_ratios


@given(limit=st.floats(0.005, 0.4), share=st.floats(0, 1), patients=st.integers(1, 40))
def test_below_the_limit_the_evidence_of_a_week_is_one_at_most_on_average(
    limit: float, share: float, patients: int
) -> None:
    from scipy.special import comb

    counts, chance = np.arange(patients + 1), share * limit
    # scipy.stats.binom overflows where the chance is the smallest float there is
    chances = comb(patients, counts) * chance**counts * (1 - chance) ** (patients - counts)
    ratios = likelihood_ratios(limit, counts.astype(float), np.full(patients + 1, patients))
    assert (chances @ ratios <= 1 + 1e-9).all()


def test_a_week_without_patients_changes_nothing() -> None:
    detector = Detector(0.05).after(Week(2, 30))
    assert detector.after(Week(0, 0)) == detector


def test_good_weeks_bring_the_evidence_down_and_bad_weeks_up() -> None:
    calm = Detector(0.05)
    for _ in range(20):
        calm = calm.after(Week(1, 60))
    assert calm.evidence < 5
    assert calm.after(Week(12, 60)).evidence > 10 * calm.evidence


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="3 errors of 2 patients"):
        Detector(0.05).after(Week(3, 2))


def test_many_streams_share_one_promise_and_the_loudest_is_named() -> None:
    streams = {"recall": Stream(0.05), "recall, site B": Stream(0.05), "specificity": Stream(0.15)}
    watch = Watch(streams, chance=1 / 1040)
    for _ in range(12):
        watch = watch.after(
            {"recall": Week(3, 60), "recall, site B": Week(0, 10), "specificity": Week(5, 40)}
        )
    assert not watch.alarm
    for _ in range(8):
        watch = watch.after(
            {"recall": Week(5, 60), "recall, site B": Week(4, 10), "specificity": Week(5, 40)}
        )
    assert watch.alarm
    assert watch.loudest[0] == "recall, site B"


def test_an_unknown_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown streams x"):
        Watch({"recall": Stream(0.05)}, chance=0.01).after({"x": Week(0, 1)})


def test_false_alarms_are_as_rare_as_promised_at_the_limit_itself() -> None:
    """The hardest case that is no alarm: the share of errors equals the limit, for 400 years."""
    generator = np.random.default_rng(5)
    alarms, weeks, years = 0, 52, 400
    for _ in range(years):
        watch = Watch({"recall": Stream(0.04), "specificity": Stream(0.12)}, chance=1 / 1040)
        for _ in range(weeks):
            watch = watch.after(
                {
                    "recall": Week(float(generator.binomial(60, 0.04)), 60),
                    "specificity": Week(float(generator.binomial(40, 0.12)), 40),
                }
            )
            if watch.alarm:
                alarms += 1
                break
    assert alarms / years <= 0.05
