"""Which tickets are one problem: patterns whose identity lasts."""

from app.detectors.grouping.calibrate import Calibration, Dial, calibrate, centred, join_by_labels
from app.detectors.grouping.consolidate import Revision, RevisionKind
from app.detectors.grouping.engine import ENGINE, Grouping, Snapshot, reembedded
from app.detectors.grouping.locks import Edit, EditKind
from app.detectors.grouping.place import Decision
from app.detectors.grouping.state import Group, Item, Member, Parameters, PatternRow
from app.detectors.grouping.suggest import Suggestion, SuggestionKind

__all__ = [
    "ENGINE",
    "Calibration",
    "Decision",
    "Dial",
    "Edit",
    "EditKind",
    "Group",
    "Grouping",
    "Item",
    "Member",
    "Parameters",
    "PatternRow",
    "Revision",
    "RevisionKind",
    "Snapshot",
    "Suggestion",
    "SuggestionKind",
    "calibrate",
    "centred",
    "join_by_labels",
    "reembedded",
]
