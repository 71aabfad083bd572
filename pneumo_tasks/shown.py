"""Text of others on its way out: one function for each place where people read it.

What a sender, a reviewer or a run wrote may hold escape codes, characters that turn the writing direction,
and markup. ``plain`` makes the first two visible; each way out adds what its markup needs.
"""

import unicodedata

# Control, format (bidi marks among them), half of a pair, private, unassigned; line and paragraph ends.
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_MARKUP = frozenset("\\`*[]<>#|!~")
_CHAT = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


def plain(text: object) -> str:
    r"""The text with every invisible character as ``\u….``; lines and tabs stay."""
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(map(_visible, shown))


def for_terminal(text: str) -> str:
    """One line a text, whatever it holds: a line break in it would look like a line of ours."""
    return plain(text).replace("\n", "\\n").replace("\t", " ")


def for_html(text: object) -> object:
    """Before a template escapes it: invisible characters of a text become visible; markup of ours stays."""
    return plain(text) if type(text) is str else text


def for_markdown(text: str) -> str:
    """On one line, and none of it is markup."""
    line = " ".join(plain(text).split())
    return "".join(f"\\{letter}" if letter in _MARKUP else letter for letter in line)


def for_csv(cell: str) -> str:
    """A cell that no spreadsheet runs."""
    shown = plain(cell)
    return f"'{shown}" if shown.startswith(_RUN_BY_SPREADSHEETS) else shown


def for_chat(text: str) -> str:
    """For chats of Slack's kind: no mention, no link, no formatting."""
    escaped = "".join(_CHAT.get(letter, letter) for letter in plain(text))
    return escaped.replace("://", ": //").replace("*", "∗").replace("`", "'").replace("~", "∼")


def _visible(letter: str) -> str:
    if letter in "\n\t" or unicodedata.category(letter) not in _INVISIBLE:
        return letter
    number = ord(letter)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
