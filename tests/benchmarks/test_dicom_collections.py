"""The DICOM files that pydicom's own tests use: each ends in a rule or in the pixels that others see."""

import pytest

from benchmarks.dicom_collections import Judged, collections, judge_films, table

# Its header says signed, its codestream unsigned: pydicom and we believe the codestream, gdcm the header.
EXPLAINED = {"test_files/J2K_pixelrep_mismatch.dcm": {"gdcm"}}


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    return judge_films(collections())


@pytest.mark.slow
def test_every_film_of_the_collections_has_the_pixels_that_other_decoders_see(judged: list[Judged]) -> None:
    decoded = [one for one in judged if one.differences]
    assert len(decoded) >= 60
    for one in decoded:
        others = {name: found for name, found in one.differences.items() if found is not None}
        assert set(others) & {"gdcm", "dcmtk", "pydicom"}, f"{one.file}: no second decoder reads it"
        far = {name for name, found in others.items() if found > 1}
        assert far == EXPLAINED.get(one.file, set()), one


@pytest.mark.slow
def test_every_file_of_the_collections_is_accepted_or_has_a_rule_and_a_line_of_the_table(
    judged: list[Judged],
) -> None:
    lines = list(table(judged))
    assert sum(int(line.split(" | ")[1]) for line in lines[2:]) == len(judged) >= 190
    assert {one.rule for one in judged} >= {None, "decodable", "not-clipped", "not-blank", "not-inverted"}
    assert all(one.value and one.value != "None" for one in judged if one.rule)
