"""Archives are read by ranges: what they claim is not believed, and nothing is unpacked."""

import bz2
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from pneumo_tasks.intake.records.accepted import accepted_images
from pneumo_tasks.storage.object_store import ObjectStore
from tests.intake.conftest import rules
from tests.intake.dicoms import dicom
from tests.intake.films import film, good_files, jpeg


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes], *links: tuple[str, bytes, str]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return path


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_an_archive_is_a_batch_and_hostile_members_stay_out(pack, validated, store, tmp_path: Path) -> None:
    good = good_files(6)
    bad = {
        "../NORMAL/IM-0801-0001.jpeg": jpeg(film(801)),
        "/NORMAL/IM-0802-0001.jpeg": jpeg(film(802)),
        "NORMAL/IM-0803-0001.jpeg": b"",
        "COVID/person804_virus_1.jpeg": jpeg(film(804)),
    }
    verdict = validated(pack(tmp_path / f"week.{'zip' if pack is zipped else 'tar'}", good | bad))
    assert (verdict.state, verdict.accepted) == ("accepted", 6)
    assert rules(verdict) == dict(
        zip(bad, ["path-inside-batch", "path-inside-batch", "bytes", "label-known"], strict=True)
    )
    accepted = accepted_images(store)
    assert store.read(accepted["key"][0]) == good[accepted["file"][0]]
    assert not (tmp_path.parent / "NORMAL").exists()


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_a_division_into_train_and_test_inside_is_refused(pack, validated, tmp_path: Path) -> None:
    halves, films = ("train", "test"), good_files(2)
    files = {f"chest_xray/{half}/{name}": data for half in halves for name, data in films.items()}
    verdict = validated(pack(tmp_path / f"all.{'zip' if pack is zipped else 'tar'}", files))
    assert verdict.state == "rejected"
    assert "division into train, test or validation" in verdict.reasons[0]


def test_links_and_devices_of_a_tar_are_no_films(validated, tmp_path: Path) -> None:
    links = [
        ("NORMAL/IM-0810-0001.jpeg", tarfile.SYMTYPE, "/etc/passwd"),
        ("NORMAL/IM-0811-0001.jpeg", tarfile.LNKTYPE, "NORMAL/IM-0000-0001.jpeg"),
        ("NORMAL/IM-0812-0001.jpeg", tarfile.CHRTYPE, ""),
        ("NORMAL/IM-0813-0001.jpeg", tarfile.FIFOTYPE, ""),
    ]
    verdict = validated(tarred(tmp_path / "week.tar", good_files(6), *links))
    assert rules(verdict) == {name: "source-readable" for name, _, _ in links}


def test_members_that_lie_are_found_out(validated, settings, tmp_path: Path) -> None:
    path = zipped(tmp_path / "week.zip", good_files(6), zipfile.ZIP_STORED)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("NORMAL/IM-0821-0001.jpeg", jpeg(film(821)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("NORMAL/IM-0821-0001.jpeg", jpeg(film(822)))
        archive.writestr("NORMAL/IM-0823-0001.jpeg", bytes(60 * 2**20), zipfile.ZIP_DEFLATED)
        archive.writestr("NORMAL/IM-0824-0001.jpeg", jpeg(film(824)), zipfile.ZIP_BZIP2)
        link = zipfile.ZipInfo("NORMAL/IM-0825-0001.jpeg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("NORMAL/IM-0826-0001.jpeg", jpeg(film(826)))
    data = bytearray(path.read_bytes())
    damaged = data.rfind(jpeg(film(826))[-64:], 0, data.rfind(b"PK\x01\x02"))
    data[damaged + 20] ^= 1
    path.write_bytes(data)
    found = rules(validated(path))
    assert found.pop("NORMAL/IM-0823-0001.jpeg") == "bytes"
    assert {name.split(" ")[0]: rule for name, rule in found.items()} == {
        f"NORMAL/IM-08{n}-0001.jpeg": "source-readable" for n in (21, 24, 25, 26)
    }


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.zip", b"PK\x03\x04" + bytes(200)),
        ("empty.zip", b"PK\x05\x06" + bytes(18)),
        ("empty.tar", bytes(10240)),
        ("page.tar", b"<html>" * 200),
        ("compressed.tar", bz2.compress(bytes(20000))),
        (
            "huge-header.tar",
            tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT)[:124] + b"77777777777\0" + bytes(376),
        ),
    ],
)
def test_what_is_no_archive_is_a_batch_error_in_words(
    validated, name: str, data: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    verdict = validated(tmp_path / name)
    assert verdict.state == "rejected"
    assert "archive" in verdict.reasons[0]


def test_a_dicom_film_leaves_as_pixels_under_a_pseudonym(
    monkeypatch: pytest.MonkeyPatch, environment: None, store: ObjectStore, tmp_path: Path
) -> None:
    from pneumo_tasks.films.imaging import decode_grey
    from pneumo_tasks.intake.sent.batches import upload_batch
    from pneumo_tasks.intake.validation import validate_batch
    from pneumo_tasks.settings import Settings

    monkeypatch.setenv("PNEUMO_PSEUDONYM_KEY", "a key that nobody guesses")
    settings = Settings.load()
    films = {
        "NORMAL/a.dcm": dicom(film(1)),
        "NORMAL/b.dcm": dicom(255 - film(2), PhotometricInterpretation="MONOCHROME1"),
        "PNEUMONIA/c.dcm": dicom(film(3).astype("uint16") * 16, BitsStored=12, HighBit=11, PatientID="4712"),
        "PNEUMONIA/d.dcm": dicom(film(4), ViewPosition="LL"),
        "PNEUMONIA/e.dcm": dicom(film(5), PatientID=None),
    }
    upload_batch(settings, store, zipped(tmp_path / "pacs.zip", films), "pacs", "train")
    verdict = validate_batch(settings, store, "pacs")
    assert rules(verdict) == {"PNEUMONIA/d.dcm": "frontal-view", "PNEUMONIA/e.dcm": "patient-known"}
    accepted = accepted_images(store).set_index("file")
    assert accepted["patient"]["NORMAL/a.dcm"] == accepted["patient"]["NORMAL/b.dcm"]
    assert accepted["patient"].nunique() == 2
    for name, seed in (("NORMAL/a.dcm", 1), ("NORMAL/b.dcm", 2), ("PNEUMONIA/c.dcm", 3)):
        stored = store.read(accepted["key"][name])
        assert abs(decode_grey(stored).astype(int) - film(seed)).max() <= 1, name
    for listed in store.list_objects("validations/"):
        body = store.read(listed.key)
        assert b"4711" not in body
        assert b"Doe" not in body
