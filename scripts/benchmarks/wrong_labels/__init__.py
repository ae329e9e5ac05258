"""How well wrong labels are found, and what training on them gains from estimates and corrections."""
