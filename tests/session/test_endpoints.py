"""Addresses are recognised wherever the server lives."""

import pytest

from astrometry_client.session.endpoints import ENDPOINTS, UNKNOWN, Kind, endpoint_of, ids_in


@pytest.mark.parametrize("site", ["https://nova.astrometry.net", "http://[::1]:8000/solver/v1"])
@pytest.mark.parametrize("end", ["", "/", "?x=1", "/?next=/wcs_file/2"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("api/login", "login"),
        ("api/submissions/12", "submission"),
        ("api/jobs/12", "job"),
        ("api/jobs/12/info", "info"),
        ("wcs_file/12", "wcs_file"),
        ("annotated_full/12", "annotated_full"),
        ("red_green_image_display/12", "red_green_image_display"),
        ("joblog2/12", "joblog2"),
        ("api/jobs/None", "unknown_api"),
        ("api", "unknown_api"),
        ("wcs_file/None", "unknown_file"),
        ("user_images/12", "unknown"),
        ("my_wcs_file/12", "unknown"),
    ],
)
def test_address_is_recognised_at_its_end(site, end, path, name):
    assert endpoint_of(f"{site}/{path}{end}").name == name


@pytest.mark.parametrize("url", [None, "", "https://nova.astrometry.net", "https://nova.astrometry.net/apis"])
def test_anything_else_is_unknown(url):
    assert endpoint_of(url) is UNKNOWN
    assert ids_in(url) == {}


def test_ids_are_read_from_the_address():
    assert ids_in("https://nova.astrometry.net/api/submissions/12/") == {"submission_id": 12}
    assert ids_in("https://nova.astrometry.net/wcs_file/7") == {"job_id": 7}
    assert ids_in("https://nova.astrometry.net/api/login") == {}


def test_names_are_unique():
    names = [endpoint.name for endpoint in ENDPOINTS]
    assert len(names) == len(set(names))


def test_only_replies_that_never_change_are_final():
    final = {endpoint.name for endpoint in ENDPOINTS if endpoint.final}
    assert final.isdisjoint(
        {"login", "upload", "url_upload", "submission", "job", "myjobs", "jobs_by_tag", "tags"}
    )
    assert final >= {"calibration", "annotations", "info", "wcs_file", "new_fits_file", "annotated_display"}


def test_files_drawn_on_demand_need_a_referer():
    # Source: recorded exchanges, a request without Referer was sent to /ask_human.
    needing = {endpoint.name for endpoint in ENDPOINTS if endpoint.needs_referer}
    assert needing >= {"corr_file", "new_fits_file", "annotated_display", "red_green_image_display"}
    assert needing.isdisjoint({"wcs_file", "rdls_file", "axy_file", "image_rd_file", "joblog", "kml_file"})


def test_kinds_follow_the_name():
    for endpoint in ENDPOINTS:
        if endpoint.name.endswith(("_display", "_full")):
            assert endpoint.kind is Kind.IMAGE
