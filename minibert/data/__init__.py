"""Text to batches: corpora, tokenizer, packing, masking, batches, and the baselines to read a loss against."""
