"""Text of others can do nothing where people read it."""

import csv
import io
import json
import re
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pneumo_tasks.commands.terminal.output import print_json, print_table, say
from pneumo_tasks.promotion.texts.rendering import _environment
from pneumo_tasks.shown import for_chat, for_csv, for_html, for_markdown, for_terminal, plain

HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07", "a\u202egnp.exe", "\u200bzero", "line\nbreak\rback", "[/x]", "[bold red]",
    "<!channel> <https://evil|here>", "<img src=x onerror=alert(1)>", "# Cleared for diagnosis",
    "=cmd()", "\ud800", "https://evil.example/x",
]  # fmt: skip
PACKAGE = Path(__file__).parents[1] / "pneumo_tasks"


@given(st.text())
def test_plain_text_holds_nothing_invisible_and_stays_what_it_was_where_it_was_visible(text: str) -> None:
    shown = plain(text)
    assert plain(shown) == shown
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown
    )
    if text.isascii() and text.isprintable():
        assert shown == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_gets_no_escape_no_markup_and_no_second_line(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(text)
    print_table(["file"], [{"file": text}])
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\n" not in for_terminal(text)
    Console(file=io.StringIO()).print(said, markup=False)


@pytest.mark.parametrize("text", HOSTILE[:-3])
def test_json_for_scripts_reads_back_the_same(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"reason": text})
    said = capsys.readouterr().out
    assert json.loads(said)["reason"] == text
    assert "\x1b" not in said
    assert "\u202e" not in said


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_a_page_a_note_and_a_chat_message_hold_no_markup_of_others(text: str) -> None:
    (cell,) = next(csv.reader(io.StringIO(f'"{for_csv(text)}"'), quotechar='"'))
    assert not cell.startswith(("=", "+", "-", "@"))
    page = jinja2.Environment(autoescape=True, finalize=for_html).from_string("{{ text }}").render(text=text)
    assert "<" not in page
    assert "\u202e" not in page
    note = for_markdown(text)
    assert not re.search(r"(?<!\\)[<>\[\]`*#|]", note)
    assert "\n" not in note
    chat = for_chat(text)
    assert "<" not in chat
    assert "://" not in chat


def test_a_model_card_holds_no_heading_of_a_uri() -> None:
    card = _environment(False).from_string("# Model card\n| weights | {{ source }} |\n")
    shown = card.render(source="s3://x/\n\n## Cleared for diagnosis\n<b>yes</b> |")
    assert shown.count("\n") == 2
    assert "\n##" not in shown
    assert "<b>" not in shown.replace("\\<", "")


def test_commands_speak_through_one_function() -> None:
    for module in sorted((PACKAGE / "commands").glob("*.py")):
        if module.name != "output.py":
            assert "typer.echo(" not in module.read_text(), f"{module.name} speaks past say()"
