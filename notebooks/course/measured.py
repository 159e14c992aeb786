"""A measured number next to the one that the text states."""


def measured(what: str, value: float, ours: float, within: float) -> None:
    """Print `value`, which a cell has just measured, next to the number in the text; fail if they are too far apart.

    nbval masks the digits after "measured" (tests/sanitize.ini), so your own number may differ from the stored one,
    and a number that contradicts the text still fails.

    Raises:
        AssertionError: `value` is more than `within` away from `ours`.

    >>> measured("validation loss", 2.2718, ours=2.25, within=0.15)
    validation loss: measured 2.27  (we got 2.25; anything within 0.15 is normal)
    """
    print(f"{what}: measured {value:.3g}  (we got {ours:g}; anything within {within:g} is normal)")
    assert abs(value - ours) <= within, f"{what}: {value:.4g} is more than {within:g} away from {ours:g}"
