"""What a person looks at: metrics, predictions, confusion matrix, contact sheets, curves. No TensorFlow."""

from slim_train.reports.confusion_matrix import draw_confusion_matrix
from slim_train.reports.contact_sheet import Tile, check_sheet_path, draw_contact_sheet
from slim_train.reports.evaluation import EvaluationWriter
from slim_train.reports.metrics_json import write_metrics_json
from slim_train.reports.mistakes import Mistake, WorstMistakes, draw_mistakes_sheet
from slim_train.reports.predictions_csv import PredictionsCsv
from slim_train.reports.table import format_metrics, metrics_table, summary
from slim_train.reports.training_curves import draw_training_curves

__all__ = [
    "EvaluationWriter",
    "Mistake",
    "PredictionsCsv",
    "Tile",
    "WorstMistakes",
    "check_sheet_path",
    "draw_confusion_matrix",
    "draw_contact_sheet",
    "draw_mistakes_sheet",
    "draw_training_curves",
    "format_metrics",
    "metrics_table",
    "summary",
    "write_metrics_json",
]
