"""Which tickets are one problem: patterns whose identity lasts."""

from app.detectors.grouping.consolidate import Revision, RevisionKind
from app.detectors.grouping.engine import ENGINE, Grouping, Snapshot
from app.detectors.grouping.locks import Edit, EditKind
from app.detectors.grouping.place import Decision
from app.detectors.grouping.state import Group, Item, Member, Parameters, PatternRow

__all__ = [
    "ENGINE",
    "Decision",
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
]
