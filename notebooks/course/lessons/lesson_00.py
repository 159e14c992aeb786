"""Lesson 00: what is the whole game?"""

from collections import Counter
from itertools import pairwise

from course.lessons import Choice, Exercise, Question, Quiz, SameAs

# Each ends in a character that stands elsewhere too, so that every character has one to follow it.
_TEXTS = ["to be or not to be", "the lord of the house of the rose", "alone, alone, all, all alone"]


def _followers(text, character):
    return Counter(after for before, after in pairwise(text) if before == character)


def _likeliest(text, character):
    counts = _followers(text, character)
    return max(counts, key=counts.get)


def _write(text, start, length):
    written = start
    for _ in range(length):
        written += _likeliest(text, written[-1])
    return written


def _write_from_start(text, start, length):
    return start + _likeliest(text, start[-1]) * length


followers = Exercise(
    name="followers",
    title="What comes after a character?",
    difficulty=1,
    minutes=3,
    check=SameAs(
        _followers,
        inputs=[("to be or not to be", "o"), ("mississippi", "s")],
        random_input=lambda rng: (rng.choice(_TEXTS), rng.choice("oe")),
        mistakes={
            "that counts what comes before; it should count what comes after": lambda text, character: Counter(
                before for before, after in pairwise(text) if after == character
            ),
            "that counts every character of the text; only those right after the given one count": (
                lambda text, character: Counter(text)
            ),
        },
    ),
    hints=(
        "Walk along the text two characters at a time: one, and the one after it.",
        "`pairwise(text)`, from itertools, gives these pairs; `Counter` counts what you hand it.",
    ),
    solution="""
        from collections import Counter
        from itertools import pairwise

        def followers(text, character):
            return Counter(after for before, after in pairwise(text) if before == character)
    """,
)

likeliest = Exercise(
    name="likeliest",
    title="The smallest language model",
    difficulty=1,
    minutes=4,
    check=SameAs(
        _likeliest,
        inputs=[("to be or not to be", "o"), ("mississippi", "s")],
        random_input=lambda rng: (rng.choice(_TEXTS), rng.choice("oe")),
        mistakes={
            "that is how often it follows; the model should say which character it is": (
                lambda text, character: max(_followers(text, character).values())
            ),
            "that is the largest character in the alphabet; compare how often they follow (`key=counts.get`)": (
                lambda text, character: max(_followers(text, character))
            ),
            "that is the most frequent character of the whole text; only what follows the given one counts": (
                lambda text, character: Counter(text).most_common(1)[0][0]
            ),
            "that is a pair (character, count); the character alone is asked for": (
                lambda text, character: _followers(text, character).most_common(1)[0]
            ),
            "that is a list of pairs (character, count); the character alone is asked for": (
                lambda text, character: _followers(text, character).most_common(1)
            ),
            "those are all the counts; the one character with the largest is asked for": _followers,
            "that is the one that follows most seldom; look for the largest count": (
                lambda text, character: min((counts := _followers(text, character)), key=counts.get)
            ),
            "that is what follows at its first place; count over the whole text": (
                lambda text, character: text[text.index(character) + 1]
            ),
        },
    ),
    hints=(
        "`counts` knows how often each character follows. Which key has the largest value?",
        "`max(counts)` compares the characters themselves; `max(counts, key=...)` compares what `key` makes of them.",
        "`max(counts, key=counts.get)`",
    ),
    solution="""
        from collections import Counter
        from itertools import pairwise

        def likeliest(text, character):
            counts = Counter(after for before, after in pairwise(text) if before == character)
            return max(counts, key=counts.get)
    """,
    starter="""
        from collections import Counter
        from itertools import pairwise

        def likeliest(text, character):
            counts = Counter(after for before, after in pairwise(text) if before == character)
            return ...
    """,
)

write = Exercise(
    name="write",
    title="Predict, append, repeat",
    difficulty=2,
    minutes=8,
    check=SameAs(
        _write,
        inputs=[("to be or not to be", "t", 5), ("mississippi", "m", 4)],
        random_input=lambda rng: (rng.choice(_TEXTS), rng.choice("oe"), rng.randint(2, 12)),
        mistakes={
            "that is the continuation alone; the text begins with `start`": (
                lambda text, start, length: _write(text, start, length)[len(start) :]
            ),
            "each time the same character is asked for its follower; ask the one that was written last": (
                _write_from_start
            ),
            "the result is `length` characters long in all; `length` more were to be written": (
                lambda text, start, length: _write(text, start, length - len(start))
            ),
            "only the last character is left; add each one to what is written: `written += ...`": (
                lambda text, start, length: _write(text, start, length)[-1]
            ),
            "one character was written, not `length`; does the `return` stand inside the loop?": (
                lambda text, start, length: _write(text, start, 1)
            ),
            "that is a list of characters; a text is asked for: `''.join(...)`": (
                lambda text, start, length: list(_write(text, start, length))
            ),
        },
    ),
    hints=(
        "Begin with `written = start`. What is the last character of it?",
        "A loop of `length` rounds: find the likeliest character after `written[-1]`, and add it to `written`.",
        "`written += likeliest(text, written[-1])`",
    ),
    solution="""
        from collections import Counter
        from itertools import pairwise

        def write(text, start, length):
            written = start
            for _ in range(length):
                counts = Counter(after for before, after in pairwise(text) if before == written[-1])
                written += max(counts, key=counts.get)
            return written
    """,
)

EXERCISES = [followers, likeliest, write]

QUIZ = Quiz(
    "00",
    [
        Question(
            "What does the GPT compute, each time it is asked?",
            [
                Choice(
                    "The sentence that fits best, which it then writes down",
                    "It never plans a sentence. It gives numbers for one next token; the sentence comes about by "
                    "asking again and again.",
                ),
                Choice(
                    "A probability for each token of being the next one",
                    "That is all it does. Another part, the sampling, chooses one of them, appends it and asks again.",
                    right=True,
                ),
                Choice(
                    "The place in the plays where this text occurs, and how it goes on there",
                    "It has no text to look into when it writes: the plays are not stored in it. It has only its "
                    "parameters, numbers that training has set.",
                ),
            ],
        ),
        Question(
            "After 100 steps it writes `thet ane hor wime`. Has the training failed?",
            [
                Choice(
                    "Yes: no word of that is English.",
                    "Look at what it has already found: letters in English proportions, words of English length. At "
                    "step 0 there was none of that.",
                ),
                Choice(
                    "That cannot be seen from a sample; look whether the loss still falls.",
                    "Every young model writes like this. While the loss falls it learns; what the loss is worth is the "
                    "question of lesson 03.",
                    right=True,
                ),
                Choice(
                    "Yes: it should be trained again with another seed.",
                    "Another seed gives other babble of the same kind. More steps are what helps here.",
                ),
            ],
        ),
        Question(
            "Which of the three commands decides how large the model is?",
            [
                Choice(
                    "`prepare.py`: a longer text makes a larger model",
                    "It turns a text into numbers and sets some plays aside. The model does not exist yet, and its "
                    "size does not depend on how long the text is.",
                ),
                Choice(
                    "`gptlib.train`: by `n_layer`, `n_embd` and `block_size`",
                    "The settings are in its TOML file, or behind it on the command line; the checkpoint keeps them.",
                    right=True,
                ),
                Choice(
                    "`gptlib.sample`: by the number of tokens that it writes",
                    "It loads the model as training left it, and the same model writes ten tokens or ten thousand.",
                ),
            ],
        ),
        Question(
            "You run the train command a second time, with `--max_iters=2000` instead of 1000. Where does it begin?",
            [
                Choice(
                    "At step 1000, where the first run ended",
                    "Only if you ask for it, with `--init_from=resume` (lesson 08). Otherwise a run begins anew.",
                ),
                Choice(
                    "At step 0, with new random weights",
                    "`init_from` is 'scratch' unless you say otherwise. The first 1000 steps are not even the same as "
                    "before, since the learning rate now falls more slowly.",
                    right=True,
                ),
                Choice(
                    "At step 0, but with the trained weights of the first run",
                    "That is what `--init_from=FOLDER` would do. Without it, the weights are drawn anew.",
                ),
            ],
        ),
        Question(
            "You give your GPT the start `Who wrote Hamlet?` What does it do?",
            [
                Choice(
                    "It answers, if Hamlet was among the plays",
                    "It was not trained to answer. It goes on with what tends to come next in a play, and after a "
                    "question that is often another speech.",
                ),
                Choice(
                    "It goes on as a play might, with a line break or another speech",
                    "It predicts what follows such a line in its text. Assistants are made from such models by a "
                    "further training, on conversations.",
                    right=True,
                ),
                Choice(
                    "It reports an error, because this is not a line of a play",
                    "Any text of known characters has a next character. It will always give you probabilities, "
                    "sensible or not.",
                ),
            ],
        ),
        Question(
            "You lower `temperature` from 0.8 to 0.2 and let it write again. What has changed in the model?",
            [
                Choice(
                    "Nothing: only how boldly one of its probabilities is chosen",
                    "The same model gives the same probabilities. At a low temperature the likeliest characters are "
                    "chosen nearly always, so it is correct more often, and repeats itself.",
                    right=True,
                ),
                Choice(
                    "It has learnt to be more careful",
                    "Learning is what changes parameters, and only training does that.",
                ),
                Choice(
                    "Its loss is lower now",
                    "The loss measures its probabilities on real text. Nobody's choice of what to write enters there.",
                ),
            ],
        ),
    ],
)
