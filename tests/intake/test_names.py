"""One layout rule: the same batch has the same names whatever container it came in."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.manifests import path_fault
from pneumo_tasks.intake.names import arrange, halves_of, is_litter, refuse_other_halves

BATCH = ["NORMAL/IM-0001-0001.jpeg", "NORMAL/Müller.jpeg", "PNEUMONIA/person1_virus_1.jpeg"]
LITTER = ["__MACOSX/NORMAL/._IM-0001-0001.jpeg", ".DS_Store", "NORMAL/.DS_Store", "NORMAL/Thumbs.db"]


def test_a_plain_batch_keeps_its_names() -> None:
    assert arrange(BATCH, "here").files == {name: name for name in BATCH}


@pytest.mark.parametrize(
    "spelled",
    [
        lambda name: name.replace("/", "\\"),
        lambda name: f"./{name}",
        lambda name: f"week47/{name}",
        lambda name: f"a\\b\\{name}",
        lambda name: unicodedata.normalize("NFD", name),
    ],
    ids=["backslashes", "dot", "one root", "two roots", "decomposed"],
)
def test_no_container_changes_the_names_of_a_batch(spelled: object) -> None:
    found = arrange([spelled(name) for name in BATCH] + LITTER, "here")  # type: ignore[operator]
    assert found.files == {name: spelled(name) for name in BATCH}  # type: ignore[operator]


@pytest.mark.parametrize("manifest", ["images.csv", "Images.CSV", "week47/images.csv"])
def test_the_manifest_is_found_in_any_case_and_below_one_root(manifest: str) -> None:
    root = manifest.rpartition("/")[0]
    films = [f"{root}/f{at}.jpeg" if root else f"f{at}.jpeg" for at in range(3)]
    found = arrange([manifest, *films], "here")
    assert found.manifest == manifest
    assert list(found.files) == ["f0.jpeg", "f1.jpeg", "f2.jpeg"]


def test_two_manifests_are_refused() -> None:
    with pytest.raises(BadBatch, match=r"images.csv, Images.csv"):
        arrange(["images.csv", "Images.csv", "a.jpeg"], "here")


@pytest.mark.parametrize("root", ["NORMAL", "normal", "train"])
def test_a_root_that_says_something_stays(root: str) -> None:
    assert list(arrange([f"{root}/a.jpeg", f"{root}/b.jpeg"], "here").files) == [
        f"{root}/a.jpeg",
        f"{root}/b.jpeg",
    ]


def test_two_names_of_one_form_are_both_shown() -> None:
    names = ["ü.jpeg", unicodedata.normalize("NFD", "ü.jpeg")]
    assert list(arrange(names, "here").files) == ["ü.jpeg", "ü.jpeg (again, 1)"]


def test_a_name_that_is_no_utf_8_is_one_bad_file() -> None:
    name = b"NORMAL/M\xfcller.jpeg".decode("utf-8", "surrogateescape")
    (shown,) = arrange([name], "here").files
    shown.encode()
    assert path_fault(shown) == "a name that is not UTF-8"


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["train/NORMAL/a.jpeg", "test/NORMAL/b.jpeg"], "train"),
        (["x/TEST/NORMAL/b.jpeg"], "train"),
        (["data/val/NORMAL/b.jpeg"], "train"),
        (["train/NORMAL/a.jpeg"], "test"),
        (["Training/NORMAL/a.jpeg"], "auto"),
    ],
)
def test_a_half_at_any_depth_that_is_not_the_split_is_refused(names: list[str], split: str) -> None:
    with pytest.raises(BadBatch, match=f"asked for split {split}"):
        refuse_other_halves(names, split, "here")


@pytest.mark.parametrize(
    "name", ["train/NORMAL/a.jpeg", "x/training/a.jpeg", "test hospital/a.jpeg", "test.jpeg"]
)
def test_the_half_that_was_asked_for_and_other_folders_are_not(name: str) -> None:
    refuse_other_halves([name], "train", "here")


@given(st.lists(st.text("ab./\\ MTte", min_size=1, max_size=12), max_size=8, unique=True))
def test_every_file_that_is_no_litter_is_shown_once(names: list[str]) -> None:
    found = arrange(names, "here")
    assert sorted(found.files.values()) == sorted(set(found.files.values()))
    assert len(found.files) <= len(names)
    assert not any(is_litter(shown) for shown in found.files if not halves_of(shown))
