"""One layout rule: the same batch has the same names whatever container it came in."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_tasks.errors import BadBatch
from pneumo_tasks.intake.containers.names import arrange, halves_of, is_litter, match, refuse_other_halves
from pneumo_tasks.intake.sent.manifests import path_fault

BATCH = ["NORMAL/IM-0001-0001.jpeg", "NORMAL/Müller.jpeg", "PNEUMONIA/person1_virus_1.jpeg"]
LITTER = ["__MACOSX/NORMAL/._IM-0001-0001.jpeg", ".DS_Store", "NORMAL/.DS_Store", "NORMAL/Thumbs.db"]


def test_a_plain_batch_keeps_its_names() -> None:
    assert arrange(BATCH, "here").files == {name: at for at, name in enumerate(BATCH)}


@pytest.mark.parametrize(
    "spelled",
    [
        lambda name: name.replace("/", "\\"),
        lambda name: f"./{name}",
        lambda name: f"week47/{name}",
        lambda name: f"a\\b\\{name}",
        lambda name: f"train/{name}",
        lambda name: f"week 47 \udcfc/{name}",
        lambda name: unicodedata.normalize("NFD", name),
    ],
    ids=["backslashes", "dot", "one root", "two roots", "train", "root of bytes", "decomposed"],
)
def test_no_container_changes_the_names_of_a_batch(spelled: object) -> None:
    found = arrange([spelled(name) for name in BATCH] + LITTER, "here")  # type: ignore[operator]
    assert found.files == {name: at for at, name in enumerate(BATCH)}


@pytest.mark.parametrize("litter", ["../x.jpeg", "/etc/passwd", "C:\\x.jpeg", "a/../../x"])
def test_a_file_that_leaves_the_batch_does_not_keep_the_root_on_the_others(litter: str) -> None:
    found = arrange([f"week47/{name}" for name in BATCH] + [litter], "here")
    assert list(found.files)[: len(BATCH)] == BATCH
    assert path_fault(list(found.files)[-1])


@pytest.mark.parametrize(
    "manifest", ["images.csv", "Images.CSV", "week47/images.csv", "train/images.csv", "NORMAL/IMAGES.csv"]
)
def test_the_manifest_is_found_in_any_case_and_below_one_root(manifest: str) -> None:
    root = manifest.rpartition("/")[0]
    films = [f"{root}/f{at}.jpeg" if root else f"f{at}.jpeg" for at in range(3)]
    found = arrange([manifest, *films], "here")
    assert found.manifest == 0
    assert list(found.files) == ["f0.jpeg", "f1.jpeg", "f2.jpeg"]


def test_two_manifests_are_refused() -> None:
    with pytest.raises(BadBatch, match=r"Images.csv, images.csv"):
        arrange(["images.csv", "Images.csv", "a.jpeg"], "here")


@pytest.mark.parametrize("root", ["NORMAL", "normal", "PNEUMONIA"])
def test_a_root_that_is_a_label_stays(root: str) -> None:
    names = [f"{root}/a.jpeg", f"{root}/b.jpeg"]
    assert list(arrange(names, "here").files) == names


@pytest.mark.parametrize(
    "other", [unicodedata.normalize("NFD", "x/ü.jpeg"), "./x/ü.jpeg", "x\\ü.jpeg", "x/ü.jpeg"]
)
def test_files_that_share_a_name_are_all_shown_and_none_is_preferred(other: str) -> None:
    for names in (["x/ü.jpeg", other, "b.jpeg"], [other, "x/ü.jpeg", "b.jpeg"]):
        found = arrange(names, "here")
        assert sorted(found.files) == ["b.jpeg", "x/ü.jpeg", "x/ü.jpeg (again, 1)"]
        assert found.twice == {"x/ü.jpeg", "x/ü.jpeg (again, 1)"}


@pytest.mark.parametrize(
    ("path", "found"),
    [("a/b/x", "x"), ("b/x", "x"), ("a/x", "a/x"), ("x", "x"), ("b/y", "b/y"), ("b/z", "b/z")],
)
def test_a_path_may_begin_with_the_root_that_was_taken_off(path: str, found: str) -> None:
    assert match([path], ["x", "b/z"], "a/b") == [found]


@pytest.mark.parametrize(
    ("path", "files", "found"),
    [
        ("a.jpeg", ["a.jpeg", "a.JPEG"], "a.jpeg"),
        ("a.jpeg", ["a.JPEG"], "a.JPEG"),
        ("a.jpeg", ["a.JPEG", "a.Jpeg"], "a.jpeg"),
        ("A.jpeg", ["a.jpeg"], "A.jpeg"),
        ("x.y/a", ["x.Y/a"], "x.y/a"),
    ],
)
def test_a_path_means_the_only_file_of_another_suffix_case(path: str, files: list[str], found: str) -> None:
    assert match([path], files) == [found]


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
        (["x/test_set/NORMAL/a.jpeg"], "train"),
        (["VAL images/NORMAL/a.jpeg"], "train"),
    ],
)
def test_a_half_at_any_depth_that_is_not_the_split_is_refused(names: list[str], split: str) -> None:
    with pytest.raises(BadBatch, match=f"asked for split {split}"):
        refuse_other_halves(names, split, "here")


@pytest.mark.parametrize(
    "name",
    [
        "train/NORMAL/a.jpeg",
        "x/training/a.jpeg",
        "test hospital/a.jpeg",
        "test.jpeg",
        "__MACOSX/test/._a.jpeg",
        ".test/test/a.jpeg",
    ],
)
def test_the_half_that_was_asked_for_and_other_folders_are_not(name: str) -> None:
    refuse_other_halves([name], "train", "here")


@given(st.lists(st.text("ab./\\ MTte", min_size=1, max_size=12), max_size=8, unique=True))
def test_every_file_that_is_no_litter_is_shown_once(names: list[str]) -> None:
    found = arrange(names, "here")
    assert sorted(found.files.values()) == sorted(set(found.files.values()))
    assert len(found.files) <= len(names)
    assert not any(is_litter(shown) for shown in found.files if not halves_of(shown))
