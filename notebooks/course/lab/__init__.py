"""Live experiments for the notebooks: sliders, Run and Stop, and the curves of a real training run."""

from course.cells import set_up_cells
from course.figures import Picture, new_figure
from course.lab.explorer import Explorer
from course.lab.lab import Lab
from course.lab.runs import Run
from course.prediction import Prediction

__all__ = ["Explorer", "Lab", "Picture", "Prediction", "Run", "new_figure"]

set_up_cells()
