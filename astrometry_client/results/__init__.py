"""Results of many images on the disk: files beside each image, and a table of all."""

from astrometry_client.results.in_place import check_place, write_in_place
from astrometry_client.results.landing import Landed, Landing
from astrometry_client.results.landings import Landings
from astrometry_client.results.names import EXTRAS, result_names, results_among
from astrometry_client.results.places import Place
from astrometry_client.results.rows import Row, row_of_entry, row_of_result
from astrometry_client.results.tables import Format, ResultsTable, format_of, write_rows, writing_table

__all__ = [
    "EXTRAS",
    "Format",
    "Landed",
    "Landing",
    "Landings",
    "Place",
    "ResultsTable",
    "Row",
    "check_place",
    "format_of",
    "result_names",
    "results_among",
    "row_of_entry",
    "row_of_result",
    "write_in_place",
    "write_rows",
    "writing_table",
]
