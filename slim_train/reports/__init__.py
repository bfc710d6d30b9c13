"""Images drawn for people: confusion matrix, contact sheets, training curves. No TensorFlow."""

from slim_train.reports.confusion_matrix import draw_confusion_matrix
from slim_train.reports.contact_sheet import Tile, check_sheet_path, draw_contact_sheet
from slim_train.reports.training_curves import draw_training_curves

__all__ = [
    "Tile",
    "check_sheet_path",
    "draw_confusion_matrix",
    "draw_contact_sheet",
    "draw_training_curves",
]
