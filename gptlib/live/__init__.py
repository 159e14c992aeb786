"""Live experiments for the notebooks: sliders, Run and Stop, and the curves of a real training run."""

from gptlib.live.curves import draw_runs
from gptlib.live.explorer import Explorer
from gptlib.live.lab import Lab
from gptlib.live.picture import Picture, new_figure
from gptlib.live.prediction import Prediction
from gptlib.live.runs import Run, Scale

__all__ = ["Explorer", "Lab", "Picture", "Prediction", "Run", "Scale", "draw_runs", "new_figure"]
