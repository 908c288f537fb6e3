#!/usr/bin/env bash
# Fuzzes one reader by libFuzzer with stable Rust: coverage by the flags below, assertions and overflow checks on.
#
#     fuzz/run.sh TARGET SECONDS [FOLDER OF SEEDS]
#
# Targets are the files of fuzz_targets/. What is found goes to fuzz/corpus/TARGET, what crashes to fuzz/artifacts/TARGET.
set -euo pipefail
cd "$(dirname "$0")"
target=$1
seconds=$2
seeds=${3:-../tests/golden}
host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags="$flags -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS="$flags" cargo build --release --target "$host" --bin "$target"
mkdir -p "corpus/$target" "artifacts/$target"
"target/$host/release/$target" "corpus/$target" "$seeds" -artifact_prefix="artifacts/$target/" \
    -max_total_time="$seconds" -max_len=16384 -rss_limit_mb=2048 -print_final_stats=1
