"""The facts of a long history are one table at the price of a few requests, whatever wrote them."""

import io
from dataclasses import replace

import pandas as pd

from pneumo_tasks.intake.records.accepted import accepted_images, known_films
from pneumo_tasks.intake.records.catalogue import open_catalogue, read_catalogue, take_place
from pneumo_tasks.intake.records.facts import SUMMED, read_facts
from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.records.withdrawals import withdraw_batch
from pneumo_tasks.intake.sent.batches import Batch
from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore, canonical_json


def film(number: int, **facts: object) -> dict[str, object]:
    row = {"file": f"{number}.png", "key": f"k{number}", "label": "NORMAL", "patient": f"patient:{number}"}
    row |= {"patient_id": f"00{number}", "family": "patient", "sha256": f"s{number}", "rule": None}
    size = {"width": 224, "height": 200, "bytes": 900, "phash": "00ff", "pixel_digest": f"p{number}"}
    return row | size | {"grey_mean": 90.0, "grey_deviation": 30.0, "clipped_share": 0.0} | facts


def fill(store: ObjectStore, batches: int) -> None:
    """Every third batch is rejected, every fourth has a film in quarantine, every fifth states a site."""
    catalogue = open_catalogue(store)
    for number in range(batches):
        name = f"w{number:04d}"
        batch = Batch(batch_id=name, created_at="0", images=2, images_csv_sha256="")
        verdict = BatchVerdict(
            batch_id=name, digest="d", state="rejected" if number % 3 == 2 else "accepted", split="auto",
            synthetic=True, images=2, accepted=1, quarantined=1, reasons=[], rejected=[], validated_at="1",
        )  # fmt: skip
        rows = [film(2 * number), film(2 * number + 1, rule="one-label" if number % 4 == 0 else None)]
        facts = pd.DataFrame(rows)
        if number % 5 == 0:
            facts = facts.assign(site="North", patient="North:" + facts["patient_id"])
        if number % 10 == 0:
            facts = facts.drop(columns="patient_id").rename(columns={"pixel_digest": "pixel_sha256"})
        body = io.BytesIO()
        facts.to_parquet(body)
        store.put(layout.batch_manifest(name), canonical_json(batch.model_dump(mode="json")))
        store.put(verdict.evidence("facts.parquet"), body.getvalue())
        take_place(store, catalogue, batch, verdict)
        catalogue = replace(catalogue, head=catalogue.head + 1)


def requests(store: ObjectStore) -> list[str]:
    asked: list[str] = []
    store.client.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.url))
    return asked


def test_known_films_and_an_assembly_cost_no_request_a_batch(store: ObjectStore) -> None:
    fill(store, 123)
    first = known_films(store)[0]
    asked = requests(store)
    assert known_films(store)[0].equals(first)
    assert len(asked) <= 25
    asked.clear()
    assert len(accepted_images(store)) == len(first)
    assert len(asked) <= 25


def test_sums_say_what_the_facts_of_each_batch_say(store: ObjectStore) -> None:
    fill(store, 25)
    catalogue = read_catalogue(store)
    singles = replace(catalogue, head=9)
    by_one = read_facts(store, singles, SUMMED)
    assert not list(store.list_objects(layout.FACT_SUMS))
    by_sums = read_facts(store, catalogue, SUMMED)
    made = [o.key for o in store.list_objects(layout.FACT_SUMS)]
    folder = made[0].removesuffix("10/00000010.parquet")
    assert folder.startswith(layout.FACT_SUMS)
    assert made == [layout.sum_of(folder, 10, n, "parquet") for n in (10, 20)]
    again = read_facts(store, catalogue, SUMMED)
    for name in ("batch_id", *SUMMED):
        assert again[name].astype(object).where(again[name].notna(), None).tolist() == (
            by_sums[name].astype(object).where(by_sums[name].notna(), None).tolist()
        )
    assert by_sums["sha256"].tolist()[: len(by_one)] == by_one["sha256"].tolist()
    assert by_sums["batch_id"].nunique() == 17
    assert by_sums["pixel_digest"].notna().all()


def test_a_sum_of_a_release_that_asked_for_fewer_columns_is_not_read(store: ObjectStore) -> None:
    fill(store, 12)
    expected = known_films(store)[0]
    body = io.BytesIO()
    pd.DataFrame([{"batch_id": "w0000", "file": "0.png"}]).to_parquet(body)
    store.put(layout.sum_of(layout.FACT_SUMS, 10, 10, "parquet"), body.getvalue())
    assert known_films(store)[0].equals(expected)


def test_a_patient_whose_site_was_once_in_the_key_is_the_patient_of_today(store: ObjectStore) -> None:
    fill(store, 11)
    assert set(accepted_images(store)["patient"]) == {
        f"patient:{n}" for n in range(22) if (n // 2) % 3 != 2 and not (n % 2 == 1 and (n // 2) % 4 == 0)
    }


def test_a_withdrawn_batch_is_in_no_table_although_a_sum_holds_it(store: ObjectStore) -> None:
    fill(store, 12)
    assert "w0001" in set(known_films(store)[0]["batch_id"])
    withdraw_batch(store, "w0001", "me", "consent")
    assert "w0001" not in set(known_films(store)[0]["batch_id"])
    assert "w0001" not in set(accepted_images(store)["batch_id"])
