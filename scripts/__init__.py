import os

# Figures are drawn into files: a screen that the environment names is not looked for, and may be any nonsense.
os.environ["MPLBACKEND"] = "agg"
