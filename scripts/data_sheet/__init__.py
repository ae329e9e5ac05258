"""Draws what is trained on."""
