"""Uploads: what is sent to be solved, checked before anything is sent."""

from astrometry_client.uploads.file_upload import FileUpload, single
from astrometry_client.uploads.sources_upload import SourcesUpload
from astrometry_client.uploads.upload import Upload
from astrometry_client.uploads.url_upload import URLUpload

__all__ = ["FileUpload", "SourcesUpload", "URLUpload", "Upload", "single"]
