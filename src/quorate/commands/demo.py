"""`quorate demo`: a wrong replica, outvoted before your eyes."""

from typing import Any

from rich.text import Text

from . import screen


def demo(requests: int, as_json: bool) -> int:
    """Run the demonstration and show its summary; return 0 when every client got every right reply, else 1."""
    # It brings the whole cell with it, which no other command needs.
    from ..experiments import demo as experiment

    result = experiment.run(requests, lambda text: screen.talk().print(Text(text), soft_wrap=True))
    if as_json:
        screen.print_json(result)
    else:
        _show(result)
    return 1 if result["wrong_replies"] or result["failed_requests"] else 0


def _show(result: dict[str, Any]) -> None:
    summary = screen.table("What the clients saw, and what the cell saw", "", "count#")
    rows = {
        "requests": "requests sent by clients",
        "wrong_replies": "wrong replies that reached a client",
        "failed_requests": "requests that failed",
        "dissents": "wrong replies caught by the vote (dissents)",
        "convictions": "replicas convicted",
    }
    for key, text in rows.items():
        screen.add(summary, text, result[key])
    screen.output().print(summary)
    is_right = not result["wrong_replies"] and not result["failed_requests"]
    verdict = "Every reply was right." if is_right else "The cell failed: a client saw a wrong reply or none."
    screen.output().print(Text(verdict, style="bold"))
