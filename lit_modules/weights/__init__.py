"""Reading checkpoints and pretrained weights."""
