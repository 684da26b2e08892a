"""What a recipe comes to in a domain that gives the service a certain directory: its environment, its command line.

Pure; the same for every kind of domain, so that a replica cannot tell by these where it runs.
"""

from quorate.trusted.errors import OperatorFault

from .lane import SOCKET_NAME
from .port import Recipe

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(recipe: Recipe, directory: str) -> dict[str, str]:
    """All that the service finds in its environment. Raises `OperatorFault` where a recipe contradicts itself."""
    if "LD_PRELOAD" in recipe.env:
        raise OperatorFault(f"replica {recipe.replica}: env sets LD_PRELOAD", "name the shared objects in preload")
    base = {"PATH": PATH, "LC_ALL": "C", "TZ": "UTC", "HOME": directory}
    preload = {"LD_PRELOAD": ":".join(recipe.preload)} if recipe.preload else {}
    return base | recipe.env | preload


def arguments(recipe: Recipe, directory: str) -> list[str]:
    """The program and its arguments, placeholders filled in for a service that sees `directory` as its own."""
    filled = {"{socket}": f"{directory}/{SOCKET_NAME}", "{directory}": directory}

    def fill(word: str) -> str:
        for placeholder, value in filled.items():
            word = word.replace(placeholder, value)
        return word

    return [fill(recipe.program), *(fill(argument) for argument in recipe.args)]
