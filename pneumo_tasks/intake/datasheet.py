"""The datasheet: one self-contained page that tells the sender what became of each file."""

import base64
import io
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from PIL import Image

from pneumo_tasks.intake.inspecting.inspection import THUMBNAIL
from pneumo_tasks.intake.records.verdicts import BatchVerdict
from pneumo_tasks.intake.rules.file_rules import row_rules
from pneumo_tasks.settings import Settings
from pneumo_tasks.shown import for_html

MOST_FILES = 500


def render_datasheet(settings: Settings, verdict: BatchVerdict, facts: pd.DataFrame | None) -> str:
    """HTML without any asset from elsewhere; every text of the sender is escaped.

    ``facts`` is None where the batch could not be read. At most MOST_FILES files are shown;
    rejected.csv lists all of them.
    """
    environment = Environment(loader=PackageLoader("pneumo_tasks.intake"), autoescape=True, finalize=for_html)
    rules = {rule.name: rule for rule in row_rules(settings)}
    counts = pd.Series([rejection.rule for rejection in verdict.rejected], dtype=object).value_counts()
    return environment.get_template("datasheet.html").render(
        verdict=verdict,
        rules=[(rules[name], int(count)) for name, count in counts.items() if name in rules],
        files=[
            {**rejection.model_dump(), "thumbnail": thumbnail, "advice": rules[rejection.rule].advice}
            for rejection, thumbnail in zip(
                verdict.rejected[:MOST_FILES], _thumbnails(verdict, facts), strict=False
            )
        ],
        hidden=max(0, len(verdict.rejected) - MOST_FILES),
        summary=_summary(facts) if facts is not None else [],
    )


def _thumbnails(verdict: BatchVerdict, facts: pd.DataFrame | None) -> list[str]:
    if facts is None:
        return []
    by_file = facts[facts["thumbnail"].notna()].drop_duplicates("file").set_index("file")["thumbnail"]
    return [_data_uri(by_file.get(rejection.file)) for rejection in verdict.rejected[:MOST_FILES]]


def _data_uri(raw: bytes | None) -> str:
    if raw is None:
        return ""
    buffer = io.BytesIO()
    image = Image.frombytes("L", (THUMBNAIL, THUMBNAIL), raw)
    image.resize((96, 96), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _summary(facts: pd.DataFrame) -> list[dict[str, Any]]:
    """Received, accepted and quarantined files and accepted patients, label by label as sent."""
    table = []
    for label, rows in facts.groupby("label"):
        good = rows[rows["rule"].isna()]
        table.append(
            {
                "label": label or "(none)",
                "received": len(rows),
                "accepted": len(good),
                "quarantined": len(rows) - len(good),
                "patients": int(good["patient"].nunique()),
            }
        )
    return table
