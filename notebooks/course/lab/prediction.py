"""Moved to course.prediction, which loads no widgets; lessons that still look here find it."""

from course.prediction import Prediction

__all__ = ["Prediction"]
