"""A server for tests of programs that use nova: it answers as nova does, and fails as it is told."""

from .clock import Clock
from .faults import Cut, Drip, ExpireSessions, Fault, Hang, Late, Planned, Reset, Restart, Status, VanishJob
from .images import fits_image
from .nova_server import NovaServer
from .records import JobRecord, RequestRecord, UploadRecord
from .table_engine import UNSOLVED, Place, Rejected, TableEngine, Unsolved, place_of

__all__ = [
    "UNSOLVED",
    "Clock",
    "Cut",
    "Drip",
    "ExpireSessions",
    "Fault",
    "Hang",
    "JobRecord",
    "Late",
    "NovaServer",
    "Place",
    "Planned",
    "Rejected",
    "RequestRecord",
    "Reset",
    "Restart",
    "Status",
    "TableEngine",
    "Unsolved",
    "UploadRecord",
    "VanishJob",
    "fits_image",
    "place_of",
]
