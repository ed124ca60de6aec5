"""Checked batches become durable: keys, content, groups, one transaction each, for predictions and for labels."""
