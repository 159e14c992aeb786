"""What learners of lesson 08 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "training_flops": [
        ("lambda parameters, tokens: 2 * parameters * tokens", "forward pass alone"),
        ("lambda parameters, tokens: 3 * parameters * tokens", "multiplies *and* adds"),
    ],
    "bytes_needed": [
        ("lambda p, s, b, t, v: 16 * p + s * b", "gradient of the logits"),
        ("lambda p, s, b, t, v: 4 * p + s * b + 4 * b * t * v", "four numbers"),
        ("lambda p, s, b, t, v: 16 * p + s * b + b * t * v", "4 bytes"),
    ],
    "order": [
        ("'DABFEC'", "unscale first"),
        ("'DAFBCE'", "update changes the scale"),
        ("'DFABEC'", "backward must come before"),
        ("'DAFEBC'", "clipping does nothing"),
    ],
    "missing": [
        ("{'save_a': 'optimizer', 'save_b': 'rng', 'save_c': 'rng'}", "`save_c` again"),
        ("{'save_a': 'step', 'save_b': 'rng', 'save_c': 'step'}", "`save_a` again"),
        ("{'save_a': 'optimizer', 'save_b': 'step', 'save_c': 'step'}", "`save_b` again"),
    ],
    "all_reduce_mean": [
        ("lambda gradients: [sum(parts) for parts in zip(*gradients)]", "that is the sum"),
        ("lambda gradients: [sum(parts) / len(parts) ** 2 for parts in zip(*gradients)]", "gives"),
        ("lambda gradients: [sum(parts) / len(gradients[0]) for parts in zip(*gradients)]", "gives"),
    ],
    "speedup": [
        ("lambda compute, sync, processes: processes", "leaves out"),
        ("lambda compute, sync, processes: compute / (compute / processes + sync)", "nobody to exchange"),
        ("lambda compute, sync, n: compute / n + (sync if n > 1 else 0)", "how long a step takes"),
        ("lambda compute, sync, n: compute * n / (compute + (sync if n > 1 else 0))", "not divided"),
        ("lambda compute, sync, n: (compute / n + (sync if n > 1 else 0)) / compute", "upside down"),
    ],
}
