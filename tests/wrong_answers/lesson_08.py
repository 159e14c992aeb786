"""What learners of lesson 08 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "training_flops": [
        ("lambda parameters, tokens: 2 * parameters * tokens", "forward pass alone"),
        ("lambda parameters, tokens: 4 * parameters * tokens", "backward pass alone"),
        ("lambda parameters, tokens: 3 * parameters * tokens", "multiplies *and* adds"),
    ],
    "hours": [
        ("lambda flops, peak, utilisation: flops / (peak * utilisation)", "that is seconds"),
        ("lambda flops, peak, utilisation: flops / peak / 3600", "data sheet"),
        ("lambda flops, peak, utilisation: flops / peak * utilisation / 3600", "divide by it"),
        ("lambda flops, peak, utilisation: flops / (peak * utilisation) / 60", "minutes"),
    ],
    "bytes_needed": [
        ("lambda p, s, b: 4 * p + s * b", "weights alone"),
        ("lambda p, s, b: 12 * p + s * b", "one of the four"),
        ("lambda p, s, b: 16 * p + s", "each sequence"),
        ("lambda p, s, b: 16 * p", "on top"),
        ("lambda p, s, b: (16 * p + s) * b", "does not depend on the batch"),
        ("lambda parameters, per_sequence, batch_size: 8 * parameters + per_sequence * batch_size", "two of the four"),
        ("lambda parameters, per_sequence, batch_size: parameters + per_sequence * batch_size", "one byte"),
    ],
    "speedup": [
        ("lambda compute, sync, processes: processes", "leaves out"),
        ("lambda compute, sync, processes: compute / (compute / processes + sync)", "nobody to exchange"),
        ("lambda compute, sync, n: compute / n + (sync if n > 1 else 0)", "how long a step takes"),
        ("lambda compute, sync, n: compute * n / (compute + (sync if n > 1 else 0))", "not shared out"),
        ("lambda compute, sync, processes: compute / processes + sync", "how long a step takes, and"),
        ("lambda compute, sync, n: (compute / n + (sync if n > 1 else 0)) / compute", "upside down"),
        ("lambda compute, sync, processes: compute / ((compute + sync) / processes)", "shared out there"),
    ],
}
