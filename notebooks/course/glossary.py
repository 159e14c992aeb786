"""What each setting of a run is, and what it does to loss, time and memory.

What a setting means, and its default, stand in `TrainConfig`; here stands only what it does.
`python -m course.glossary` prints it as markdown.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from course import lesson
from course.shown import LEFT, WIDE
from gptlib.config import TrainConfig

_FIELDS = {f.name: f for f in fields(TrainConfig)}
_COLUMNS = ("setting", "what it is", "default", "loss", "time", "memory", "lesson")
_CAPTION = "What a larger value does to loss, time and memory. A dash: nothing."


@dataclass(frozen=True)
class Entry:
    """A setting, what more of it does, and the number of the lesson that shows it."""

    name: str
    loss: str
    time: str
    memory: str
    lesson: str

    @property
    def doc(self) -> str:
        """What the setting means."""
        return _FIELDS[self.name].metadata["doc"]

    @property
    def default(self) -> str:
        """Its default, as one writes it on the command line."""
        value = _FIELDS[self.name].default
        return str(value).lower() if isinstance(value, bool) else str(value) or "empty"


ENTRIES = (
    Entry(
        "block_size",
        loss="lower, by less and less: a longer context takes training before it pays",
        time="of a step: in proportion while it is small, towards four times a doubling when attention is most of it",
        memory="in proportion; with naive attention a part goes with the square",
        lesson="02",
    ),
    Entry(
        "batch_size",
        loss="a steadier gradient: its noise falls with the square root; fewer steps from the same text",
        time="of a step: in proportion, less the fixed price of a pass",
        memory="activations in proportion",
        lesson="05",
    ),
    Entry(
        "gradient_accumulation_steps",
        loss="as a batch_size that many times as large",
        time="of a step: in proportion",
        memory="none, which is what it is for",
        lesson="05",
    ),
    Entry(
        "eval_interval",
        loss="none: the weights are the same to the bit",
        time="less: at six times eval_iters, evaluation takes about a tenth",
        memory="none",
        lesson="03",
    ),
    Entry(
        "eval_iters",
        loss="none on the model; the error bar of what is reported falls with the square root",
        time="of an evaluation: in proportion",
        memory="none",
        lesson="03",
    ),
    Entry(
        "log_interval",
        loss="none; fewer points are shown",
        time="hardly less on a CPU; each logged loss makes a GPU wait for a moment",
        memory="none",
        lesson="03",
    ),
    Entry(
        "max_iters",
        loss="lower, by less and less; it rises again when a small text has been read often",
        time="in proportion",
        memory="none",
        lesson="00",
    ),
    Entry(
        "learning_rate",
        loss="too small crawls; too large jumps from side to side, or diverges",
        time="none",
        memory="none",
        lesson="04",
    ),
    Entry(
        "warmup_iters",
        loss="smaller first steps, while the gradients are longest",
        time="none",
        memory="none",
        lesson="04",
    ),
    Entry(
        "schedule",
        loss="a rate that falls to the end takes the jitter out of the last steps",
        time="none",
        memory="none",
        lesson="04",
    ),
    Entry(
        "grad_clip",
        loss="a rare, far too long gradient does more harm; with 0 all of it",
        time="hardly any",
        memory="none",
        lesson="04",
    ),
    Entry(
        "n_layer",
        loss="lower if there is text enough; on a small text it overfits sooner",
        time="in proportion",
        memory="parameters and activations in proportion",
        lesson="06",
    ),
    Entry(
        "n_embd",
        loss="lower if there is text enough; on a small text it overfits sooner",
        time="towards four times a doubling; less while the model is small",
        memory="parameters with the square, activations in proportion",
        lesson="06",
    ),
    Entry(
        "dropout",
        loss="training loss higher; takes away the rise of the validation loss on a small text",
        time="a little more",
        memory="a little more",
        lesson="06",
    ),
    Entry(
        "train_fraction",
        loss="validation loss lower, by a lot: nothing else helps as much",
        time="none",
        memory="none: the text stays on the disk",
        lesson="06",
    ),
    Entry(
        "attention",
        loss="none: naive and fused give the same numbers",
        time="naive takes longer, the more so the larger block_size is",
        memory="naive keeps block_size × block_size numbers for each head of each layer",
        lesson="02",
    ),
    Entry(
        "n_head",
        loss="several heads look at several things at once; too many are too narrow to see much",
        time="hardly any",
        memory="none; with naive attention a square of numbers for each head",
        lesson="07",
    ),
    Entry(
        "optimizer",
        loss="lower with muon after as many steps",
        time="a step with muon takes a little longer; a given loss comes sooner",
        memory="muon keeps one number for each weight of the blocks' matrices, adamw two",
        lesson="09",
    ),
    Entry(
        "muon_lr",
        loss="as learning_rate, for the matrices that Muon moves",
        time="none",
        memory="none",
        lesson="08",
    ),
    Entry(
        "positions",
        loss="lower with rotary, for the same steps",
        time="rotary takes a little longer",
        memory="rotary needs no table of positions",
        lesson="09",
    ),
    Entry(
        "qk_norm",
        loss="a little lower; allows larger rates",
        time="a little more",
        memory="a little more",
        lesson="08",
    ),
    Entry("smear", loss="a little lower", time="a little more", memory="a little more", lesson="08"),
    Entry(
        "bigram",
        loss="lower, most of all early on",
        time="hardly more",
        memory="a vector for each pair of tokens: only for small vocabularies",
        lesson="08",
    ),
    Entry(
        "out_dir",
        loss="none",
        time="that of saving, at each evaluation",
        memory="on the disk: for each checkpoint, the weights and the optimizer's memory",
        lesson="08",
    ),
    Entry(
        "init_from",
        loss="resume: none, the run goes on to the bit; a folder: it begins where that one ended",
        time="resume saves what was already done",
        memory="none",
        lesson="08",
    ),
    Entry(
        "device", loss="none but rounding", time="a GPU is many times as fast", memory="the device's own", lesson="08"
    ),
    Entry(
        "dtype",
        loss="hardly any",
        time="bfloat16: less where the processor can multiply it, more where not",
        memory="bfloat16: about half the activations",
        lesson="08",
    ),
    Entry(
        "compile",
        loss="none but rounding",
        time="minutes before the first step, then less for each",
        memory="often less",
        lesson="08",
    ),
    Entry(
        "parallel",
        loss="none: the same curve with one process or several",
        time="fsdp exchanges more than ddp",
        memory="ddp: the whole model in each process; fsdp: its part of it",
        lesson="08",
    ),
)


@dataclass(frozen=True, repr=False)
class Glossary:
    """Entries as a table: HTML in a notebook, markdown elsewhere."""

    entries: tuple[Entry, ...] = ENTRIES

    def __getitem__(self, name: str) -> Entry:
        return next(entry for entry in self.entries if entry.name == name)

    def __repr__(self) -> str:
        return f"<glossary: {', '.join(entry.name for entry in self.entries)}>"

    def markdown(self) -> str:
        """The table as markdown; its links lead to notebooks in the same folder."""
        rows = [_COLUMNS, ["---"] * len(_COLUMNS), *(_cells(e, "`{}`", "[{}]({})") for e in self.entries)]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        return f"{_CAPTION}\n\n{table}"

    def html(self) -> str:
        """The same table as HTML."""
        head = "".join(f"<th {LEFT}>{column}</th>" for column in _COLUMNS)
        rows = [_cells(e, "<code>{}</code>", '<a href="{1}">{0}</a>', html.escape) for e in self.entries]
        body = "".join(f"<tr>{''.join(f'<td {LEFT}>{cell}</td>' for cell in row)}</tr>" for row in rows)
        return f"<table {WIDE}><caption>{_CAPTION}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


def _cells(e: Entry, code: str, link: str, escape: Callable[[str], str] = str) -> list[str]:
    effects = ["–" if effect == "none" else escape(effect) for effect in (e.loss, e.time, e.memory)]
    file = lesson(e.lesson).file
    return [code.format(e.name), escape(e.doc), code.format(escape(e.default)), *effects, link.format(e.lesson, file)]


GLOSSARY = Glossary()

if __name__ == "__main__":
    print(GLOSSARY.markdown())
