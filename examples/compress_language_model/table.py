#!/usr/bin/env python3
"""Makes the tables of docs/language_model.md: the main example over five seeds.

    python3 examples/compress_language_model/table.py [SEED ...]

Prints Markdown, and what was to be shown with whether it was. Exits with 1 if something was not. Characters a second
are of this machine and this minute; nothing is to be shown of them.
Needs cargo and nothing beyond Python's standard library.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
from statistics import mean

EXAMPLE = ["cargo", "run", "--quiet", "--release", "--example", "compress_language_model", "--"]


def run(seed, folder):
    """The stages of one run by name."""
    table = folder / f"{seed}.json"
    plot = folder / f"{seed}.svg"
    command = [*EXAMPLE, "--seed", str(seed), "--json", str(table), "--plot", str(plot)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    result = json.loads(table.read_text())
    assert result["seed"] == seed, "the table is of another run"
    return {stage.pop("name"): stage for stage in result["stages"]}


def main():
    seeds = [int(seed) for seed in sys.argv[1:]] or [0, 1, 2, 3, 4]
    with tempfile.TemporaryDirectory() as folder:
        runs = [run(seed, pathlib.Path(folder)) for seed in seeds]
    names = list(runs[0])

    def row(*cells):
        print("| " + " | ".join(str(cell) for cell in cells) + " |")

    print("Test perplexity:\n")
    row("stage", *(f"seed {seed}" for seed in seeds), "mean")
    row("---", *("--:" for _ in seeds), "--:")
    for name in names:
        values = [run[name]["perplexity"] for run in runs]
        row(name, *(f"{value:.3f}" for value in values), f"{mean(values):.3f}")

    print("\nMeans:\n")
    row("stage", "nonzero", "bytes", "bits/weight", "perplexity", "agreement", "tokens/s")
    row("---", "--:", "--:", "--:", "--:", "--:", "--:")
    for name in names:
        average = {key: mean(run[name][key] for run in runs) for key in runs[0][name]}
        row(
            name,
            f"{average['nonzero']:.0f}",
            f"{average['bytes']:.0f}",
            f"{average['bits_per_weight']:.2f}",
            f"{average['perplexity']:.3f}",
            f"{100 * average['agreement']:.1f} %",
            f"{average['tokens_per_second']:.0f}",
        )

    def each(one, other, key="perplexity"):
        return [run[one][key] / run[other][key] for run in runs]

    gains = [run["student_hard"]["perplexity"] - run["student_distilled"]["perplexity"] for run in runs]
    worst_teacher = max(run["teacher"]["perplexity"] for run in runs)
    helped = mean(gain > 0 for gain in gains)
    claims = [
        ("teacher's perplexity, worst seed", worst_teacher, "≤ 5.67", worst_teacher <= 5.67),
        ("share of seeds where distilling helps", helped, "≥ 0.8", helped >= 0.8),
        ("what distilling gains, mean", mean(gains), "≥ 0.2", mean(gains) >= 0.2),
    ]
    for name, one, other, key, bound in [
        ("perplexity of pruned_50 / dense_continued, worst", "pruned_50", "dense_continued", "perplexity", 1.03),
        ("perplexity of int8 / pruned_50, worst", "int8", "pruned_50", "perplexity", 1.005),
        ("perplexity of int4 / pruned_50, worst", "int4", "pruned_50", "perplexity", 1.10),
        ("bytes of int8 / teacher, worst", "int8", "teacher", "bytes", 1 / 45),
        ("bytes of int4 / teacher, worst", "int4", "teacher", "bytes", 1 / 80),
    ]:
        worst = max(each(one, other, key))
        claims.append((name, worst, f"≤ {bound:.4f}", worst <= bound))
    print("\nWhat was to be shown:\n")
    row("figure", "measured", "bound", "shown")
    row("---", "--:", "--:", "---")
    for name, value, bound, shown in claims:
        row(name, f"{value:.4f}", bound, "yes" if shown else "NO")
    sys.exit(not all(shown for *_, shown in claims))


if __name__ == "__main__":
    main()
