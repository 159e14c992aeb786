"""Exercises: the learner's answer is tried out, and called not attempted, wrong (why) or right."""

import _thread
import copy
import functools
import html
import inspect
import random
import re
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np

from course import progress

RANDOM_INPUTS = 10
PATIENCE = 10.0  # CPU seconds for one check: an answer that is still at work then loops forever, most likely


class Wrong(Exception):
    """The answer is wrong; the message says what about it, and the likely cause."""


class _NotAttempted(Exception):
    """The answer is still what the notebook's cell said at first, or has a blank in it."""


class Outcome(StrEnum):
    """What a check can say."""

    NOT_ATTEMPTED = "not attempted"
    WRONG = "wrong"
    RIGHT = "right"


class Exercise:
    """A small task in a notebook, whose answer is a function or a value.

    Args:
        name: of the variable or function that the learner writes.
        title: what it is about.
        difficulty: one to three stars.
        minutes: that a beginner needs.
        check: called with the answer; returns None if it is right, otherwise raises or returns `Wrong`.
        hints: up to three, each says more than the last.
        solution: source code that defines `name`.
    """

    def __init__(
        self,
        *,
        name: str,
        title: str,
        difficulty: int,
        minutes: int,
        check: Callable[[Any], "Wrong | None"],
        hints: Sequence[str],
        solution: str,
    ):
        self.name, self.title, self.difficulty, self.minutes, self.hints = name, title, difficulty, minutes, hints
        self.checker, self.solution_source = check, _source(solution)
        self._hints_shown = 0

    def check(self, answer: Any) -> "Card":
        """Try the answer out: not attempted, wrong (why) or right."""
        try:
            if _has_blank(answer):
                raise _NotAttempted(f"`{self.name}` is still blank: write it, run its cell, then check again")
            with time_limit(PATIENCE):
                verdict = self.checker(watch(answer, self.name) if inspect.isroutine(answer) else answer)
            if isinstance(verdict, Wrong):
                raise verdict
        except _NotAttempted as why:
            return Card("not attempted", self.title, str(why))
        except Wrong as why:
            return Card("wrong", self.title, str(why))
        if verdict is not None:
            raise TypeError(f"the check of {self.name} returned {verdict!r}: must be None or Wrong(...)")
        progress.record("exercises", self.title)
        return Card("right", self.title)

    def hint(self) -> "Card":
        """The next hint; after the last one, the last one again."""
        self._hints_shown = min(self._hints_shown + 1, len(self.hints))
        last = ", the last" if self._hints_shown == len(self.hints) else ""
        return Card("hint", f"{self._hints_shown} of {len(self.hints)}{last}", self.hints[self._hints_shown - 1])

    def solution(self) -> "Card":
        """One way to do it."""
        return Card("solution", self.title, code=self.solution_source)

    def __repr__(self) -> str:
        return repr(self._card())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self._card()._repr_mimebundle_()

    def _card(self) -> "Card":
        stars = "★" * self.difficulty + "☆" * (3 - self.difficulty)
        about = f"difficulty {stars} ({self.difficulty} of 3), about {self.minutes} minutes"
        return Card("exercise", self.title, f"`{self.name}`: {about}")


def _source(text: str) -> str:
    """A piece of source code, as it would stand in a cell of its own."""
    return textwrap.dedent(text).strip()


# --- the learner's code, called with care -----------------------------------------------------------


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop what runs inside after so many CPU seconds, or when the cell is interrupted, as the learner's `Wrong`.

    A busy computer has not cost the learner any of them. Only the main thread, in which cells run, can be
    interrupted; elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    done, over, limit = threading.Event(), threading.Event(), time.process_time() + seconds

    def watch_the_clock() -> None:
        while not done.wait(0.1):
            if time.process_time() > limit:
                over.set()
                _thread.interrupt_main()
                return

    clock = threading.Thread(target=watch_the_clock, daemon=True)
    clock.start()
    try:
        try:
            yield
        finally:
            done.set()
            clock.join()  # if it has just rung, the interrupt comes now
            if over.is_set():
                time.sleep(0.01)
    except KeyboardInterrupt:
        if over.is_set():
            raise Wrong(f"it was still at work after {seconds:g} s, and was stopped: does each loop end?") from None
        raise Wrong("it was interrupted before it gave an answer") from None


def watch(function: Callable, name: str = "") -> Callable:
    """The learner's function, made safe to call from a check.

    A result of None or `...`, a NotImplementedError and a `...` left in an expression mean "not
    attempted"; any other exception is the learner's `Wrong`.
    """
    name = name or getattr(function, "__name__", "your function")
    answered = False

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal answered
        shown = describe_call(name, args, kwargs)
        try:
            result = function(*args, **kwargs)
        except (Wrong, _NotAttempted):  # what the check gave to the function has a word to say
            raise
        except NotImplementedError:
            raise _NotAttempted(f"`{name}` still raises NotImplementedError: write its body") from None
        except Exception as error:
            if "ellipsis" in str(error):
                raise _NotAttempted(f"`{name}` still has a `...` in it: replace it") from None
            raise Wrong(f"`{shown}` raised {_one_line(error)}") from None
        if _has_blank(result) and not answered:
            what = "None; is a `return` missing?" if result is None else "`...`: replace it"
            raise _NotAttempted(f"`{shown}` still gives {what}")
        if result is None:
            raise Wrong(f"`{shown}` gives None, though other inputs gave an answer: does each branch `return`?")
        answered = True
        return result

    call.__name__ = name
    return call


def _has_blank(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(item is ... for item in value)
    return value is None or value is ...


def _one_line(error: Exception) -> str:
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", str(error))  # an address would differ from run to run
    first = textwrap.shorten(text.strip().split("\n")[0], 150, placeholder=" …")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def describe_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> str:
    """A call in words that are the same in every run: 'mean([1, 2])'."""
    shown = [describe(arg) for arg in args] + [f"{key}={describe(value)}" for key, value in (kwargs or {}).items()]
    return f"{name}({', '.join(shown)})"


def describe(value: Any) -> str:
    """A value in a few words that are the same in every run."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.5g}"
    if value is None or isinstance(value, (bool, int, np.integer, bytes)):
        return str(value)
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:59] + "…")
    if isinstance(value, (list, tuple)):
        items = [describe(item) for item in value[:6]] + ["…"] * (len(value) > 6)
        return f"[{', '.join(items)}]" if isinstance(value, list) else f"({', '.join(items)})"
    if isinstance(value, dict):
        items = [f"{describe(key)}: {describe(item)}" for key, item in list(value.items())[:6]]
        return f"{{{', '.join(items + ['…'] * (len(value) > 6))}}}"
    if hasattr(value, "shape"):
        return describe(value.item()) if value.shape == () else f"{type(value).__name__} of shape {tuple(value.shape)}"
    return f"a value of type {type(value).__name__}"


# --- ready-made checks --------------------------------------------------------------------------------


def same(got: Any, want: Any, rel_tol: float = 1e-4) -> bool:
    """Is it the same value? Numbers, lists, arrays and tensors may differ by rounding, and in their type."""
    if isinstance(want, (list, tuple)):
        got = got.tolist() if hasattr(got, "tolist") else got
        if not isinstance(got, (list, tuple)) or len(got) != len(want):
            return False
        return all(same(g, w, rel_tol) for g, w in zip(got, want, strict=True))
    if isinstance(want, dict) and isinstance(got, dict):
        return got.keys() == want.keys() and all(same(got[key], want[key], rel_tol) for key in want)
    if isinstance(got, (str, bytes, dict)) or got is None or not _is_numeric(want):
        return type(got) is type(want) and got == want
    try:
        got, want = _array(got), _array(want)
    except (TypeError, ValueError):
        return False
    size = float(np.abs(want[np.isfinite(want)]).max(initial=0))
    tiny = rel_tol * 1e-3 * size + 1e-9  # beside large elements, and beside 0, rounding leaves that much
    return got.shape == want.shape and np.allclose(got, want, rtol=rel_tol, atol=tiny, equal_nan=True)


def _is_numeric(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.number)) or hasattr(value, "dtype")


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu().double() if hasattr(value, "detach") else value, dtype=np.float64)


@dataclass(frozen=True)
class SameAs:
    """A check for functions: the answer gives what `reference` gives, for every input.

    Args:
        reference: the right function.
        inputs: argument tuples that show a mistake well; the first that fails is shown to the learner.
        random_input: draws one more argument tuple; called ten times, the same in every run.
        mistakes: reason -> the function that somebody writes who makes this mistake.
        rel_tol: how far a number may be off.
    """

    reference: Callable
    inputs: Sequence[tuple]
    random_input: Callable[[random.Random], tuple] | None = None
    mistakes: Mapping[str, Callable] = field(default_factory=dict)
    rel_tol: float = 1e-4

    def __call__(self, answer: Any) -> None:
        """Raise `Wrong` unless the answer gives the same; with the reason, if it makes a known mistake."""
        if not callable(answer):
            raise Wrong(f"this is {describe(answer)}, not a function: give `check` its name alone, without brackets")
        inputs = self.all_inputs()
        got = [answer(*copy.deepcopy(args)) for args in inputs]  # it may change what it is given
        wants = [self.reference(*copy.deepcopy(args)) for args in inputs]
        failures = [i for i in range(len(inputs)) if not same(got[i], wants[i], self.rel_tol)]
        if not failures:
            return
        first = failures[0]
        call = describe_call(getattr(answer, "__name__", "your function"), inputs[first])
        given, wanted = describe(got[first]), describe(wants[first])
        shown = f"`{call}` gives {given}, not {wanted if wanted != given else 'the same numbers as it should'}"
        reason = next((why for why, wrong in self.mistakes.items() if self._makes(wrong, inputs, got)), "")
        raise Wrong(f"{shown}: {reason}" if reason else shown)

    def all_inputs(self) -> list[tuple]:
        """The given inputs, then the random ones."""
        rng = random.Random(0)
        return [*self.inputs, *(self.random_input(rng) for _ in range(RANDOM_INPUTS) if self.random_input)]

    def _makes(self, wrong: Callable, inputs: Sequence[tuple], got: Sequence[Any]) -> bool:
        try:
            return all(same(g, wrong(*copy.deepcopy(i)), self.rel_tol) for i, g in zip(inputs, got, strict=True))
        except (ArithmeticError, ValueError):
            return False  # where the answer gave something, the mistake gives nothing: another mistake


@dataclass(frozen=True)
class SameValue:
    """A check for values: the answer is `want`.

    Args:
        want: the right value.
        mistakes: reason -> the value that somebody finds who makes this mistake.
        rel_tol: how far a number may be off; 0.05 suits one that is read off a plot.
        read: brings other ways to write the same answer into the form of `want`.
    """

    want: Any
    mistakes: Mapping[str, Any] = field(default_factory=dict)
    rel_tol: float = 1e-4
    read: Callable[[Any], Any] = lambda answer: answer

    def __call__(self, answer: Any) -> None:
        """Raise `Wrong` unless it is the same; with the reason, if it is that of a known mistake."""
        read = self.read(answer)
        if same(read, self.want, self.rel_tol):
            return
        reason = next((why for why, wrong in self.mistakes.items() if same(read, wrong, self.rel_tol)), "")
        raise Wrong(f"{describe(answer)} is not it" + (f": {reason}" if reason else ""))


@dataclass(frozen=True)
class InOrder:
    """A check for shuffled lines, each with a letter: `want` is their order, `because` why each precedes the next.

    The answer may be a text or a list, in capitals or not.
    """

    want: str
    because: Sequence[str]

    def __call__(self, answer: Any) -> None:
        """Raise `Wrong` for the first two neighbors of `want` that the answer has the other way round."""
        order = "".join(map(str, answer)) if isinstance(answer, (list, tuple)) else str(answer)
        order = "".join(filter(str.isalpha, order.upper()))
        if sorted(order) != sorted(self.want.upper()):
            raise Wrong(f"{describe(answer)} is not it: give each of the {len(self.want)} letters once")
        for (first, then), reason in zip(pairwise(self.want.upper()), self.because, strict=True):
            if order.index(first) > order.index(then):
                raise Wrong(f"{describe(answer)} is not it: {reason}")


@dataclass(frozen=True)
class SameSteps:
    """A check for functions that are called step after step: what comes of each has to be what should.

    Args:
        steps: calls the function it is given, and returns what came of each step: name -> value.
        want: returns what should come of it.
        solution: source code of the right function.
        mistakes: reason -> (words of the solution, what somebody who makes this mistake writes instead).
        rel_tol: how far a number may be off.
    """

    steps: Callable[[Callable], dict[str, Any]]
    want: Callable[[], dict[str, Any]]
    solution: str
    mistakes: Mapping[str, tuple[str, str]]
    rel_tol: float = 1e-6

    def __call__(self, answer: Callable) -> None:
        """Raise `Wrong` for the first step that is not the same; with the reason, if it is a known mistake."""
        got, wants = self.steps(answer), self._wants
        first = next((name for name, want in wants.items() if not same(got[name], want, self.rel_tol)), None)
        if first is None:
            return
        reason = next((f": {why}" for why, wrong in self._wrongs.items() if same(got, wrong, self.rel_tol)), "")
        off = np.abs(_array(got[first]) - _array(wants[first])).max()
        raise Wrong(f"{first} is off by {off:.2g}{reason}")

    @functools.cached_property
    def _wants(self) -> dict[str, Any]:
        return self.want()

    @functools.cached_property
    def _wrongs(self) -> dict[str, dict[str, Any]]:
        return {why: self.steps(defined(changed(self.solution, *new))) for why, new in self.mistakes.items()}


def changed(source: str, old: str, new: str) -> str:
    """A source code with `new` for `old`, which has to be in it once."""
    before, after = source.split(old)
    return before + new + after


def defined(source: str) -> Any:
    """The function that a source code defines first."""
    names: dict[str, Any] = {}
    exec(_source(source), names)
    return names[re.search(r"^def (\w+)", _source(source), re.MULTILINE)[1]]


@dataclass(frozen=True)
class Choices:
    """A check for a list of choices: `right` holds for each its name, the right one, and why it is right."""

    right: Sequence[tuple[str, str, str]]
    allowed: Sequence[str]

    def __call__(self, answer: Any) -> None:
        """Raise `Wrong` for the first that is not right, with the reason."""
        if not isinstance(answer, (list, tuple)) or len(answer) != len(self.right):
            names = ", ".join(name for name, _, _ in self.right)
            raise Wrong(f"give a list of {len(self.right)} answers, for {names}")
        for (name, right, why), said in zip(self.right, answer, strict=True):
            if said not in self.allowed:
                raise Wrong(f"{name}: {describe(said)} is none of these: {', '.join(self.allowed)}")
            if said != right:
                raise Wrong(f"{name} is not {said!r}: {why}")


# --- what the learner sees ------------------------------------------------------------------------------

# kind: icon, words, colour. JupyterLab's variables follow its theme; the fall-backs are for everywhere else.
_KINDS = {
    "right": ("✓", "Right", "var(--jp-success-color1, #2e7d32)"),
    "wrong": ("✗", "Not right yet", "var(--jp-error-color1, #c62828)"),
    "not attempted": ("○", "Not attempted yet", "var(--jp-warn-color1, #b26a00)"),
    "hint": ("→", "Hint", "var(--jp-info-color1, #0277bd)"),
    "solution": ("=", "Solution", "var(--jp-info-color1, #0277bd)"),
    "exercise": ("✎", "Exercise", "var(--jp-info-color1, #0277bd)"),
}


@dataclass(frozen=True)
class Card:
    """What an exercise answers: a coloured box in a notebook, a line or two anywhere else."""

    kind: str
    title: str
    text: str = ""
    code: str = ""

    @property
    def outcome(self) -> Outcome | None:
        """What the check says; None for a hint or a solution."""
        return Outcome(self.kind) if self.kind in list(Outcome) else None

    def __repr__(self) -> str:
        lines = [f"{self.kind}: {self.title}", self.text, self.code]
        return "\n".join(line for line in lines if line)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        icon, words, colour = _KINDS[self.kind]
        style = (
            f"border:1px solid {colour};border-left:6px solid {colour};border-radius:3px;padding:6px 12px;margin:4px 0;"
            "background:var(--jp-layout-color1, #ffffff);color:var(--jp-content-font-color1, #1a1a1a);line-height:1.5"
        )
        parts = [f'<span aria-hidden="true">{icon}</span> <strong>{words}</strong>: {marked_up(self.title)}']
        if self.text:
            parts.append(f"<br>{marked_up(self.text)}")
        if self.code:
            parts.append(f'<pre style="margin:6px 0;color:inherit;background:none">{html.escape(self.code)}</pre>')
        return {"text/plain": repr(self), "text/html": f'<div style="{style}">{"".join(parts)}</div>'}


def marked_up(text: str) -> str:
    """The text as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
