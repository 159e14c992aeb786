"""What learners of lesson 03 write, and words of the reason that they must be given."""

WRONG_ANSWERS = {
    "loss_of_guessing": [
        ("math.log2", "bits"),
        ("lambda vocab_size: math.log10(vocab_size)", "base 10"),
        ("lambda vocab_size: 1 / vocab_size", "minus its logarithm"),
        ("lambda vocab_size: math.log(1 / vocab_size)", "sign"),
        ("lambda vocab_size: 4.12713", "loss_of_guessing(2)"),
        ("lambda vocab_size: str(math.log(vocab_size))", "gives"),
        ("lambda vocab_size: math.log(vocab)", "raised NameError"),
        ("lambda: 4.13", "positional argument"),
        ("math.log(62)", "without brackets"),
    ],
    "standard_error": [
        ("lambda losses: torch.tensor(losses).std()", "sqrt(n) times steadier"),
        ("lambda losses: np.std(losses, ddof=1) / len(losses)", "only by sqrt(n)"),
        ("lambda losses: np.std(losses) / math.sqrt(len(losses))", "n - 1"),
        ("lambda losses: np.std(losses)", "division by sqrt(n) is missing"),
        ("lambda losses: np.var(losses, ddof=1) / len(losses) ** 0.5", "starts from the variance"),
        ("lambda losses: np.var(losses, ddof=1) / len(losses)", "square root"),
        (
            """
            def standard_error(losses):
                if len(losses) > 5:
                    return np.std(losses, ddof=1) / len(losses) ** 0.5
                elif len(losses) > 3:
                    return 0.6454972
            """,
            "each branch",
        ),
    ],
    "evaluation_share": [
        ("lambda step, batch, interval, iters: iters * batch / (iters * batch + interval * step)", "one split"),
        ("lambda step, batch, interval, iters: 2 * iters * batch / (interval * step)", "share compares"),
        ("lambda step, batch, interval, iters: 2 * batch / (2 * batch + interval * step)", "`eval_iters`"),
        ("lambda step, batch, interval, iters: 2 * iters * batch / (2 * iters * batch + step)", "`eval_interval`"),
        ("lambda step, batch, interval, iters: interval * step / (2 * iters * batch + interval * step)", "the rest"),
    ],
    "mean_surprise": [
        ("lambda probabilities: -math.log(sum(probabilities) / len(probabilities))", "averaged first"),
        ("lambda probabilities: -math.log(math.prod(probabilities))", "their mean"),
        ("lambda probabilities: np.log(probabilities).mean()", "the sign is lost"),
        ("lambda probabilities: -np.log2(probabilities).mean()", "in bits"),
        ("lambda probabilities: np.mean([1 - p for p in probabilities])", "lack to 1"),
        ("lambda probabilities: math.prod(probabilities) ** (-1 / len(probabilities))", "perplexity"),
        ("lambda probabilities: [-math.log(p) for p in probabilities]", "gives"),
    ],
}
