"""Frames of accepted images, as the intake hands them over, for tests of the dataset floor."""

import hashlib

import pandas as pd


def accepted_frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """One row for each dict; what a dict leaves out is made up, different for every row."""
    filled = []
    for number, row in enumerate(rows):
        file = str(row.get("file", f"{number}.jpeg"))
        batch = str(row.get("batch_id", "first"))
        digest = hashlib.sha256(f"{batch}/{file}".encode()).hexdigest()
        base = {
            "key": f"incoming/{batch}/{file}",
            "file": file,
            "batch_id": batch,
            "label": "NORMAL",
            "patient": f"person:{number}",
            "family": "person",
            "split": "train",
            "sha256": digest,
            "pixel_digest": digest,
            "synthetic": True,
            "created_at": "2026-01-01T00:00:00+00:00",
        }
        filled.append(base | row)
    return pd.DataFrame(filled)
