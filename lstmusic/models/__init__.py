"""Recurrent language models over groups of ids: ids, features and masks in, logits and nats out."""
