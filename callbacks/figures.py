from pathlib import Path

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from callbacks.files import in_one_step

DPI = 120


def new_figure(width: float, height: float, arranged: bool = True) -> Figure:
    """Returns an empty figure of a size in inches, drawn without a screen and outside pyplot's global state.

    Args:
        width: In inches.
        height: In inches.
        arranged: Whether matplotlib finds room for axes and labels, which takes as long as drawing them; otherwise
            the axes are given their places.
    """
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained" if arranged else None)


def publish_figure(trainer: Trainer, name: str, figure: Figure, run_folder: Path) -> None:
    """Writes a figure to `<run folder>/figures/<name>.png` and to TensorBoard where there is one.

    Args:
        trainer: Whose run it belongs to.
        name: Of the file and of the TensorBoard entry.
        figure: What to write.
        run_folder: Where to; ask `run_folder_of` for it on every process. Only the first one writes.
    """
    if not trainer.is_global_zero:
        return
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # the slow part, once for both
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    with in_one_step(run_folder / "figures" / f"{name}.png") as temporary:
        imsave(temporary, pixels, format="png")
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(f"figures/{name}", pixels, global_step=trainer.global_step, dataformats="HWC")
