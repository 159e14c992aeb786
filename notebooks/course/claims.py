"""Numbers in prose that a cell of the same lesson measures again."""


def claim(what: str, measured: float, claimed: float, within: float) -> str:
    """Hold a number that the lesson states against the one just measured.

    Training is chaotic: its last digits differ between machines. So the sentence shows the stated
    number as long as it holds, and the measured one only where it does not.
    """
    if abs(measured - claimed) <= within:
        return f"{what}: {claimed:g} ± {within:g}, as claimed"
    return f"{what}: measured {measured:.4g}, but the lesson claims {claimed:g} ± {within:g}"
