#!/usr/bin/env bash
# Files of ours, read by the Python libraries of their formats that need no PyTorch: safetensors, NumPy, gguf.
#
#     .ci/python-readers.sh
#
# Makes an environment for them under target/. Says `not run` and succeeds where there is no Python or they cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
environment=$target/python-readers
python=$environment/bin/python

if ! command -v python3 >/dev/null; then
    echo "not run: there is no python3"
    exit 0
fi
if ! "$python" -c "import gguf, numpy, safetensors" 2>/dev/null; then
    rm -rf "$environment"
    if ! python3 -m venv "$environment" >/dev/null 2>&1 ||
        ! "$python" -m pip install --quiet --disable-pip-version-check safetensors numpy gguf; then
        echo "not run: safetensors, numpy and gguf cannot be installed"
        exit 0
    fi
fi
RAREFY_PYTHON=$python cargo test --all-features --test files -- --nocapture python_reads reader_in_python
