from astrometry_client.aio import (
    AsyncClient as AsyncClient,
    AsyncJob as AsyncJob,
    AsyncSubmission as AsyncSubmission,
)
from astrometry_client.batch import BatchResult as BatchResult
from astrometry_client.client import Client as Client
from astrometry_client.errors import (
    APIKeyError as APIKeyError,
    AstrometryError as AstrometryError,
    InputError as InputError,
    LedgerError as LedgerError,
    LoginFailedException as LoginFailedException,
    MalformedReply as MalformedReply,
    NotAvailable as NotAvailable,
    NotFound as NotFound,
    NoUsableReply as NoUsableReply,
    OutcomeUnknown as OutcomeUnknown,
    Overloaded as Overloaded,
    RateLimitExceeded as RateLimitExceeded,
    ReplyTimeout as ReplyTimeout,
    ServerRefused as ServerRefused,
    SolveError as SolveError,
    SolveTimeout as SolveTimeout,
    StaleSession as StaleSession,
    StatusFailedException as StatusFailedException,
    StillProcessingException as StillProcessingException,
    SubmissionFailed as SubmissionFailed,
    Unreachable as Unreachable,
    UnreadableFileError as UnreadableFileError,
)
from astrometry_client.job import Job as Job
from astrometry_client.ledger import Ledger as Ledger
from astrometry_client.login import Session as Session
from astrometry_client.models import (
    Annotation as Annotation,
    Calibration as Calibration,
    JobInfo as JobInfo,
    Option as Option,
    Settings as Settings,
    Solution as Solution,
    SubmissionStatus as SubmissionStatus,
    UploadReceipt as UploadReceipt,
)
from astrometry_client.predicates import Predicate as Predicate
from astrometry_client.request import (
    PostRequest as PostRequest,
    Request as Request,
    SessionRequest as SessionRequest,
)
from astrometry_client.session import (
    ClientSession as ClientSession,
    FileLockSQLiteBucket as FileLockSQLiteBucket,
    MemorySlots as MemorySlots,
    MockResponse as MockResponse,
    RedisSlots as RedisSlots,
    RequestTimeout as RequestTimeout,
    SessionAuthMixin as SessionAuthMixin,
    SessionErrorMixin as SessionErrorMixin,
    SessionFileMixin as SessionFileMixin,
    SessionUserAgentMixin as SessionUserAgentMixin,
    SQLiteSlots as SQLiteSlots,
    clear_cache as clear_cache,
    delete as delete,
    format_request as format_request,
    format_response as format_response,
    get as get,
    get_local_session as get_local_session,
    is_dry_run_enabled as is_dry_run_enabled,
    post as post,
    put as put,
)
from astrometry_client.submission import Submission as Submission
from astrometry_client.uploads import (
    FileUpload as FileUpload,
    SourcesUpload as SourcesUpload,
    URLUpload as URLUpload,
)

__version__: str
