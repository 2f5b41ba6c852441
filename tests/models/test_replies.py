"""The server's documents as values, from the recorded ones."""

import json
from datetime import UTC, datetime

import pytest
from recordings import recording

from astrometry_client.errors import MalformedReply
from astrometry_client.models import Annotation, Calibration, JobInfo, SubmissionStatus, UploadReceipt
from astrometry_client.models.replies import job_state


def document(name: str) -> dict:
    return json.loads(recording(name).body)


def submission(name: str) -> SubmissionStatus:
    return SubmissionStatus.from_document(document(name), submission_id=1)


def test_receipt_of_a_file_holds_its_hash() -> None:
    receipt = UploadReceipt.from_document(document("upload_file_ok"))
    assert receipt == UploadReceipt(submission_id=1, sha1="6689d93f85b1dfb30fb6532451d784057252e3c0")


def test_receipt_of_a_url_has_no_hash() -> None:
    assert UploadReceipt.from_document(document("url_upload_ok")).sha1 is None


@pytest.mark.parametrize(
    ("name", "job_ids", "queued", "solved", "failed"),
    [
        ("submission_not_started_file_again", (), 0, (), False),
        ("submission_state__started_unfinished_jobs-_cals0", (), 0, (), False),
        ("submission_state__started_unfinished_jobs-null-_cals0", (), 1, (), False),
        ("submission_state__started_finished_jobs-null-_cals0", (), 1, (), False),
        ("submission_state__started_finished_jobs-id-_cals0", (8,), 0, (), False),
        ("submission_state__started_finished_jobs-id-_cals1", (2,), 0, (2,), False),
        ("submission_state__started_finished_jobs-id-null-_cals1", (37,), 1, (37,), False),
        ("submission_state__started_finished_jobs-id-id-_cals2", (37, 39), 0, (37, 39), False),
        ("submission_final_garbage", (), 0, (), True),
        ("submission_final_url_404", (), 0, (), True),
    ],
)
def test_every_state_a_submission_passes_through(
    name: str, job_ids: tuple, queued: int, solved: tuple, failed: bool
) -> None:
    status = submission(name)
    assert (status.job_ids, status.queued, status.solved_job_ids, status.failed) == (
        job_ids,
        queued,
        solved,
        failed,
    )


def test_unset_times_are_none_and_others_are_utc() -> None:
    assert submission("submission_not_started_file_again").started is None
    started = submission("submission_state__started_finished_jobs-id-_cals1").started
    assert started == datetime(2026, 11, 20, 14, 28, 1, 337214, tzinfo=UTC)


def test_rejected_submission_keeps_the_servers_words() -> None:
    assert "type is not supported" in (submission("submission_final_garbage").error_message or "")


def test_calibration_has_its_units() -> None:
    calibration = Calibration.from_document(document("job_calibration_xy"))
    assert calibration.ra_deg == pytest.approx(186.4247, abs=1e-4)
    assert calibration.pixel_scale_arcsec == pytest.approx(168.946, abs=1e-3)
    assert calibration.parity == 1
    assert calibration.width_arcsec == pytest.approx(118769.16, abs=0.01)


def test_info_of_an_unsolved_job_has_no_calibration() -> None:
    info = JobInfo.from_document(document("job_info_failed"), job_id=8)
    assert (info.state, info.original_filename, info.calibration) == ("failure", "json-xy", None)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("job_status_processing_queued", "processing"),
        ("job_status_live_solving", "solving"),
        ("job_status_success", "success"),
        ("job_status_failure", "failure"),
    ],
)
def test_job_states(name: str, state: str) -> None:
    assert job_state(document(name)) == state


def test_annotation_without_magnitude() -> None:
    entry = {"type": "ngc", "names": ["NGC 1", "x"], "pixelx": 3, "pixely": 4.5, "radius": 2}
    assert Annotation.from_document(entry) == Annotation(
        kind="ngc", names=("NGC 1", "x"), x_px=3.0, y_px=4.5, radius_px=2.0, magnitude=None
    )


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"processing_started": "None"}, "lacks 'jobs'"),
        ({"jobs": 5}, "'jobs'"),
        (
            {"jobs": [], "processing_started": "yesterday", "processing_finished": "None"},
            "'processing_started'",
        ),
    ],
)
def test_broken_document_names_the_key(broken: dict, words: str) -> None:
    with pytest.raises(MalformedReply, match=words):
        SubmissionStatus.from_document(broken, submission_id=1)


def test_unknown_job_state_is_refused() -> None:
    with pytest.raises(MalformedReply, match="dancing"):
        job_state({"status": "dancing"})
