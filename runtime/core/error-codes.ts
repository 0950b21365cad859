/** Who can mend an error. */
export type ErrorDomain = 'user' | 'external' | 'internal'

/** What the table of errors says of a code. */
export interface ErrorCodeInfo {
  /** Who can mend it: the job's author or operator, an outside system, or Millrace's developers. */
  readonly domain: ErrorDomain
  /** Whether trying the same again may help; a restart strategy restarts only for these and for user functions that threw. */
  readonly retryable: boolean
  /** One sentence for docs/errors.md. */
  readonly summary: string
}

const user = (summary: string, retryable = false): ErrorCodeInfo => ({ domain: 'user', retryable, summary })
const external = (summary: string, retryable = true): ErrorCodeInfo => ({ domain: 'external', retryable, summary })
const internal = (summary: string): ErrorCodeInfo => ({ domain: 'internal', retryable: false, summary })

/** Every error code. docs/errors.md lists the same codes; a test keeps them equal. */
export const ERROR_CODES = {
  ASSERTION: internal('An invariant of the engine does not hold: a bug in Millrace.'),
  JOB_NO_DEFAULT_EXPORT: user('The job module has no default export made by defineJob.'),
  JOB_NOT_FOUND: user('The job module does not exist or cannot be imported.'),
  JOB_COMPILE: user('The job module cannot be compiled.'),
  JOB_EMPTY: user('The job describes no sink, so nothing would run.'),
  OPTION_INVALID: user('An option has a value that cannot be used.'),
  FILE_NOT_FOUND: user('A file or folder that was named does not exist.'),
  UID_DUPLICATE: user('Two operators have the same uid.'),
  PLAN_INVALID: user('The job graph cannot be built as described.'),
  PLAN_INCOMPATIBLE: user('A changed job would lose state that the job has.'),
  KEY_INVALID: user('keyBy returned something that cannot be a key.'),
  KEY_TYPE: user('keyBy returned a key of another type than the operator has state of, or than it was declared with.'),
  TIMESTAMP_INVALID: user('A timestamp assigner returned something that is not a finite number.'),
  TIMESTAMP_MISSING: user('An event-time window met a record without a timestamp.'),
  USER_FUNCTION: user('A function of the job threw.', true),
  STATE_UNSERIALISABLE: user('A state value cannot be serialised.'),
  STATE_NOT_FOUND: user('A checkpoint holds no state of the key that was asked for.'),
  STATE_DESCRIPTOR: user('A state descriptor is used in two ways, or outside a keyed context.'),
  RECORD_UNSERIALISABLE: user('A record that must cross to another thread or process cannot be serialised.'),
  CHECKPOINT_CORRUPT: external('A checkpoint or one of its files is damaged, truncated or missing.', false),
  CHECKPOINT_VERSION: user('A checkpoint was written in a format that this version does not read.'),
  CHECKPOINT_OTHER_JOB: user('A checkpoint belongs to another job, or the job no longer has an operator whose state it holds.'),
  CHECKPOINT_NOT_FOUND: user('There is no checkpoint to restore from.'),
  CHECKPOINT_DIR_IN_USE: user('Another running job uses this checkpoint folder.'),
  ACTIVATION_REFUSED: external('A job was activated, restored or deployed by somebody else meanwhile.', false),
  CHECKPOINT_FAILED: external('A checkpoint could not be completed.'),
  STORAGE: external('Reading or writing files failed (disk full, permission, I/O error).'),
  SOURCE_FAILED: external('A source lost its outside system or could not read it.'),
  RECORD_MALFORMED: user('An input record cannot be parsed.'),
  WORKER_LOST: external('A worker thread ended without being asked to.'),
  JOB_CANCELLED: user('The job was cancelled.'),
  CONTROL_UNREACHABLE: user('No running job answers at this folder.'),
  CONTROL_REFUSED: external('A deployed job does not do what it was asked, in the state that it is in.', false),
  CONTROL_TIMEOUT: external('What a job was asked to do was not done in time; it may still be.'),
  DEPLOYMENT_NOT_FOUND: user('The stack, the control function or the job in it that was named is not there.'),
  PACKAGE_MISSING: user('A package that only this needs is not installed, such as a client of the AWS SDK.'),
  FRAME_CORRUPT: external('A frame that arrived from another stage is damaged.', false),
  LOG_CORRUPT: external('A commit-log item is damaged or missing.', false),
  BATCH_REFUSED: external('A stage cannot take a batch now; it must be delivered again.'),
  ASYNC_TIMEOUT: external('An asynchronous call took longer than its time-out.'),
  AWS_CALL: external('A call to an AWS service failed.'),
} as const satisfies Record<string, ErrorCodeInfo>

/** The codes of the table of errors. */
export type ErrorCode = keyof typeof ERROR_CODES
