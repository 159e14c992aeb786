"""Live experiments for the notebooks: sliders, Run and Stop, and the curves of a real training run."""

from course.figures import Picture, new_figure
from course.lab.curves import draw_runs
from course.lab.explorer import Explorer
from course.lab.lab import Lab
from course.lab.prediction import Prediction
from course.lab.runs import Run, Scale
from course.threads import choose_threads_in_cells

__all__ = ["Explorer", "Lab", "Picture", "Prediction", "Run", "Scale", "draw_runs", "new_figure"]

choose_threads_in_cells()
