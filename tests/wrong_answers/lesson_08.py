"""What learners of lesson 08 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "decisions": [
        ('"leave it"', "a list of 3 answers"),
        ('["take it", "take it", "measure again"]', "2,000 steps"),
        ('["leave it", "measure again", "measure again"]', "38 ms"),
        ('["leave it", "take it", "take it"]', "can't tell"),
        ('["leave it", "take it", "more runs"]', "none of these"),
    ],
    "bytes_needed": [
        ("lambda p, s, b, t, v: 16 * p + s * b", "gradient of the logits"),
        ("lambda p, s, b, t, v: 4 * p + s * b + 4 * b * t * v", "four numbers"),
        ("lambda p, s, b, t, v: 16 * p + s * b + b * t * v", "4 bytes"),
        ("lambda p, s, b, t, v: 16 * p + s * b + 4 * t * v", "one sequence"),
    ],
    "order": [
        ("'DABFEC'", "unscale first"),
        ("'DAFBCE'", "update changes the scale"),
        ("'DFABEC'", "backward must come before"),
        ("'DAFEBC'", "clipping does nothing"),
        ("'ADFBEC'", "needs a loss"),
        ("'DAFB'", "each of the 6 letters"),
    ],
    "missing": [
        ("['optimizer', 'rng', 'rng']", "save_c is not 'rng'"),
        ("['step', 'rng', 'step']", "save_a is not 'step'"),
        ("['optimizer', 'step', 'step']", "save_b is not 'step'"),
        ("{'save_a': 'optimizer'}", "a list of 3 answers"),
        ("['optimizer', 'seed', 'step']", "none of these"),
    ],
    "all_reduce_mean": [
        ("lambda gradients: [sum(parts) for parts in zip(*gradients)]", "that is the sum"),
        ("lambda gradients: [sum(parts) / len(parts) for parts in gradients]", "over the processes"),
        ("lambda gradients: [torch.stack(parts).mean() for parts in zip(*gradients)]", "one number"),
        ("lambda gradients: [sum(parts) / len(parts) ** 2 for parts in zip(*gradients)]", "gives"),
        ("lambda gradients: [sum(parts) / 3 for parts in zip(*gradients)]", "gives"),
    ],
    "speedup": [
        ("lambda compute, sync, processes: processes", "leaves out"),
        ("lambda compute, sync, processes: compute / (compute / processes + sync)", "nobody to exchange"),
        ("lambda compute, sync, n: compute / (compute / n + sync * (n - 1))", "whole exchange"),
        ("lambda compute, sync, n: compute / n + (sync if n > 1 else 0)", "how long a step takes"),
        ("lambda compute, sync, n: compute * n / (compute + (sync if n > 1 else 0))", "not divided"),
        ("lambda compute, sync, n: (compute / n + (sync if n > 1 else 0)) / compute", "upside down"),
    ],
}
