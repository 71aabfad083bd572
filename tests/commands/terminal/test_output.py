import pytest

from pneumo_tasks.commands.terminal.output import print_table


@pytest.mark.parametrize("number", [3, 3000])
def test_a_table_is_a_line_a_row_however_long_it_is(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "why"], [{"name": f"run-{at}", "why": None} for at in range(number)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["name", "why"], *([f"run-{at}", "-"] for at in range(number))
    ]  # fmt: skip
    assert len({line.index("why" if at == 0 else "-", 5) for at, line in enumerate(lines[:9])}) == 1
