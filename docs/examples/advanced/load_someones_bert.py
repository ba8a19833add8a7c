"""Load someone's BERT: any folder that `transformers` reads becomes a network whose every array can be looked at.

python docs/examples/advanced/load_someones_bert.py FOLDER    (without a folder, it makes one first)
"""

import sys
from pathlib import Path

from minibert import MathematicalExplorer, MiniBERT, ModelConfig, create_tokenizer
from minibert.config import PositionConfig
from minibert.data.tokenizer import train_tokenizer


def someones_bert() -> Path:
    """A folder with an untrained BERT and a tokenizer of the documentation, as somebody may have published it."""
    folder = Path("mlruns/examples/someones_bert")
    if not folder.exists():
        pages = [page.read_text(encoding="utf-8") for page in Path("docs").glob("*.md")]
        tokenizer = train_tokenizer(pages, 1000, lowercase=True)
        sizes = {"hidden_size": 64, "layers": 2, "heads": 4, "feed_forward_size": 256, "vocab_size": 1000}
        MiniBERT(ModelConfig(norm="post", position=PositionConfig(), **sizes)).save_pretrained(folder, tokenizer)
    return folder


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else someones_bert()
model, tokenizer = MiniBERT.from_pretrained(folder), create_tokenizer(vocab_path=folder)
config = model.config
print(f"{folder}: {model.params.vector.size:,} parameters, {config.layers} layers")
print(f"{tokenizer.get_vocab_size()} tokens, norm={config.norm}, position={config.position.name}")

explorer = MathematicalExplorer(model, tokenizer)
text = "the network reads a [MASK] of text"
print(explorer.guess_by_layer(text, top_k=3))
print("entropy of every head (layers down, heads across); 1 is that of a head that looks everywhere alike:")
print(explorer.explore_attention_heads(text).entropies.round(2))
