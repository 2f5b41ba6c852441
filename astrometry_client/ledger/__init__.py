"""The record of what was uploaded and what became of it, which outlives the process that wrote it."""

from astrometry_client.ledger.holder import Claim, Holder, LeaseLostError
from astrometry_client.ledger.ledger import Ledger
from astrometry_client.ledger.reading import Count, InHand, KnownImage, LedgerReader
from astrometry_client.ledger.values import LOCAL, Entry, Key, NamesInTars, State, settings_json

__all__ = [
    "LOCAL",
    "Claim",
    "Count",
    "Entry",
    "Holder",
    "InHand",
    "Key",
    "KnownImage",
    "LeaseLostError",
    "Ledger",
    "LedgerReader",
    "NamesInTars",
    "State",
    "settings_json",
]
