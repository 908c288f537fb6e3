"""Makes golden.json: tokens and embeddings of eight of the sentences by transformers and PyTorch.

    python3 -m venv peers && peers/bin/pip install torch transformers
    peers/bin/python examples/sentence_embeddings/reference.py FOLDER

FOLDER holds the model (fetch.sh). The sentences go through the network together, filled up to the longest and
masked, as people do it there.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import BertModel, BertTokenizerFast

HERE = Path(__file__).parent
# From all over the file, the longest and the shortest among them.
COUNT = 8


def main():
    folder = sys.argv[1]
    lines = [line for line in (HERE / "sentences.txt").read_text().splitlines() if line and not line.startswith("#")]
    words = [len(line.split()) for line in lines]
    chosen = {words.index(min(words)), words.index(max(words))}
    chosen |= set(range(5, len(lines), len(lines) // (COUNT - 2) + 1))
    chosen = sorted(chosen)
    assert len(chosen) == COUNT, chosen

    tokenizer = BertTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json", do_lower_case=True)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager").eval()
    tokens = tokenizer([lines[place] for place in chosen], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    means = (hidden * mask).sum(1) / mask.sum(1)
    embeddings = torch.nn.functional.normalize(means)

    cases = []
    for place, ids, kept, embedding in zip(chosen, tokens["input_ids"], mask, embeddings):
        cases.append(
            {
                "sentence": place,
                "tokens": ids[kept[:, 0].bool()].tolist(),
                "embedding": [round(number, 8) for number in embedding.tolist()],
            }
        )
    made_by = f"torch {torch.__version__}, transformers {transformers.__version__}"
    heads = f'{{\n"made_by": {json.dumps(made_by)},\n"cases": [\n'
    text = heads + ",\n".join(json.dumps(case) for case in cases) + "\n]\n}\n"
    (HERE / "golden.json").write_text(text)


main()
