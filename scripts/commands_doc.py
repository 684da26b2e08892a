"""Writes the tables of docs/commands-redis.md from the dialect's own table."""

from pathlib import Path

from quorate.trusted.protocols.redis.base import Treatment
from quorate.trusted.protocols.redis.table import ROWS, Row

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands-redis.md"
BEGIN = "<!-- written by scripts/commands_doc.py from table.py: begin -->"
END = "<!-- written by scripts/commands_doc.py from table.py: end -->"

MEANINGS = {
    Treatment.PLAIN: "Goes to the replicas as it came; replies are compared byte for byte.",
    Treatment.SORTED: "Goes as it came; the elements of its reply are compared, and given to you, in sorted order.",
    Treatment.FORMED: "Goes in a form that leaves nothing to a replica's clock, chance or hash order.",
    Treatment.PLANNED: "Takes several slots; the client waits for the last, others do not.",
    Treatment.HERE: "Answered by the coordinator: state of connections, questions about the one server that you see.",
    Treatment.REFUSED: "Answered with an error that names the reason.",
}


def name_of(row: Row) -> str:
    """A command as people write it, in code type."""
    return f"`{row[0].replace('|', ' ').upper()}`"


def tables() -> str:
    """What becomes of every command: by treatment, the refused ones by reason."""
    lines = ["| treatment | what it means | commands |", "| --- | --- | --- |"]
    rows = sorted(ROWS)
    for treatment, meaning in MEANINGS.items():
        served = [row for row in rows if row[3] is treatment]
        names = "below" if treatment is Treatment.REFUSED else ", ".join(map(name_of, served))
        lines.append(f"| **{treatment.value}** ({len(served)}) | {meaning} | {names} |")
    lines += ["", "| refused because | commands |", "| --- | --- |"]
    for reason in dict.fromkeys(row[5] for row in rows if row[5]):
        lines.append(f"| {reason} | {', '.join(name_of(row) for row in rows if row[5] == reason)} |")
    return "\n".join(lines)


def updated(page: str) -> str:
    """The page with its tables as they must be. Raises `ValueError` when it has no place for them."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(updated(PAGE.read_text()))


if __name__ == "__main__":
    main()
