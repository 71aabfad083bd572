"""Great Expectations judges the facts: a suite made from the rules, run in an ephemeral context."""

import json
import logging
import os
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pneumo_tasks.errors import BadData
from pneumo_tasks.intake.rules.file_rules import FilmRule


@dataclass(frozen=True)
class Judgement:
    """``failures``: columns row (index of the facts), file, rule, value, limit, one line each break.

    ``result`` is Great Expectations' own result, without the lists of rows; ``docs`` renders it as
    pages by name, which load styles and scripts from public servers.
    """

    failures: pd.DataFrame
    result: dict[str, Any]
    found: Any = None

    def docs(self) -> dict[str, bytes]:
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        content = ValidationResultsPageRenderer().render(self.found)
        return {f"{self.result['suite_name']}.html": DefaultJinjaPageView().render(content).encode()}


def judge(facts: pd.DataFrame, rules: list[FilmRule], suite: str) -> Judgement:
    """Run ``rules`` over ``facts`` (a RangeIndex, a column ``file``), in the order of the rules."""
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    expectations = [_expectation(rule) for rule in rules]
    validation = gx.ValidationDefinition(
        name=suite,
        data=context.data_sources.add_pandas("facts")
        .add_dataframe_asset(suite)
        .add_batch_definition_whole_dataframe("whole"),
        suite=context.suites.add(gx.ExpectationSuite(name=suite, expectations=expectations)),
    )
    # An all-null column of floats would make Great Expectations compare strings with NaN.
    frame = facts[list(dict.fromkeys(rule.column for rule in rules))].astype(object)
    frame = frame.where(frame.notna(), None).reset_index(drop=True)
    found = context.validation_definitions.add(validation).run(
        batch_parameters={"dataframe": frame}, result_format={"result_format": "COMPLETE"}
    )
    by_name = {rule.name: rule for rule in rules}
    failures = [
        {
            "row": row,
            "file": facts["file"].iat[row],
            "rule": name,
            "value": value,
            "limit": by_name[name].limit,
        }
        for name, row, value in _breaks(found, frame, list(by_name))
    ]
    columns = ["row", "file", "rule", "value", "limit"]
    return Judgement(pd.DataFrame(failures, columns=columns), _summary(found), found)


def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # before the import: 214 lines less
    import great_expectations

    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    return great_expectations


def _expectation(rule: FilmRule) -> Any:
    import great_expectations.expectations as gxe

    meta = {"rule": rule.name}
    if rule.kind == "empty":
        return gxe.ExpectColumnValuesToBeNull(column=rule.column, meta=meta)
    if rule.kind == "set":
        return gxe.ExpectColumnValuesToBeInSet(column=rule.column, value_set=list(rule.values), meta=meta)
    return gxe.ExpectColumnValuesToBeBetween(
        column=rule.column, min_value=rule.low, max_value=rule.high, meta=meta
    )


def _breaks(found: Any, frame: pd.DataFrame, order: list[str]) -> list[tuple[str, int, str]]:
    rows: dict[str, list[int]] = {}
    for result in found.results:
        name = result.expectation_config.meta["rule"]
        rows[name] = [int(row) for row in result.result.get("unexpected_index_list") or []]
        if not result.success and not rows[name]:
            raise BadData(
                "a rule could not be judged", where=name, found=str(result.exception_info)[:300]
            )  # never let a rule that crashed pass for one that found nothing
    column = {r.expectation_config.meta["rule"]: r.expectation_config.kwargs["column"] for r in found.results}
    return [(name, row, shown(frame[column[name]].iat[row])) for name in order for row in rows[name]]


def shown(value: Any) -> str:
    """A value as a person should read it, at most 200 characters."""
    if value is False:
        return "missing"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)[:200]


def _summary(found: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(found.to_json_dict(), default=str))
    for result in document["results"]:
        for name in ("unexpected_list", "unexpected_index_list", "unexpected_index_query"):
            result["result"].pop(name, None)
    return document
