import { MillraceError } from '../runtime/core/index.js'

/** Kinds of checkpoints that can be begun. A `stop` is a savepoint behind which nothing follows. */
export const CHECKPOINT_KINDS = ['checkpoint', 'savepoint', 'stop'] as const

/**
 * What the control function of a deployed job can be asked (Lambda's Invoke, as JSON). It answers with a plain JSON result, or with
 * `{ error: { code, message } }`, whose code is one of docs/errors.md.
 */
export type ControlRequest =
  /** {@link JobStatusAnswer}. */
  | { readonly command: 'status' }
  /** {@link PlacesAnswer}. */
  | { readonly command: 'places' }
  /** {@link UsageAnswer}. */
  | { readonly command: 'usage' }
  /** {@link CheckpointsAnswer}. */
  | { readonly command: 'checkpoints' }
  /** Begins one, or joins the one of the same kind that is in progress: `BegunAnswer` of control-checkpoints.ts. */
  | { readonly command: 'begin'; readonly kind: (typeof CHECKPOINT_KINDS)[number] }
  /** To be asked until the checkpoint has left: `CheckpointStepResult` of checkpoint-handler.ts. */
  | { readonly command: 'progress'; readonly checkpointId: number }
  /** Gives up the pending checkpoint; what a stop has held goes on. */
  | { readonly command: 'abort'; readonly checkpointId: number }
  /**
   * The job goes back to one of its checkpoints, or goes on with the savepoint it was stopped with: `TransitionProgress` of transitions.ts. To be
   * asked until it is done, some seconds apart, with the same `request`: a text that tells this wish from an earlier one.
   */
  | { readonly command: 'restore'; readonly checkpointId: number; readonly request: string }
  /** `WhyNotFiredAnswer` of control-why.ts. `keys`: what the one key that is meant may be, such as the text "17" and the number. */
  | { readonly command: 'why-not-fired'; readonly uid: string; readonly keys?: readonly unknown[] }

/** Throws OPTION_INVALID, saying which field is wrong and what it may be. */
export function readControlRequest(event: unknown): ControlRequest {
  if (!isObject(event)) throw invalid(`a request is a JSON object, and this is ${JSON.stringify(event)}`)
  const { command } = event
  switch (command) {
    case 'status':
    case 'places':
    case 'usage':
    case 'checkpoints':
      return { command }
    case 'begin':
      return { command, kind: oneOf(event, 'kind', CHECKPOINT_KINDS) }
    case 'progress':
    case 'abort':
      return { command, checkpointId: count(event, 'checkpointId') }
    case 'restore':
      return { command, checkpointId: count(event, 'checkpointId'), request: text(event, 'request') }
    case 'why-not-fired':
      return { command, uid: text(event, 'uid'), ...('keys' in event ? { keys: list(event, 'keys') } : {}) }
    default:
      throw invalid(`there is no command ${JSON.stringify(command)}`, `Give one of ${COMMANDS.join(', ')}.`)
  }
}

const COMMANDS: readonly ControlRequest['command'][] = [
  'status',
  'places',
  'usage',
  'checkpoints',
  'begin',
  'progress',
  'abort',
  'restore',
  'why-not-fired',
]

/** Whether the event is a request of a person; all others are steps of the state machine, and ticks. */
export function isControlRequest(event: unknown): boolean {
  return isObject(event) && 'command' in event
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function oneOf<T extends string>(request: Readonly<Record<string, unknown>>, field: string, values: readonly T[]): T {
  const value = request[field]
  if (values.includes(value as T)) return value as T
  throw wrongField(request, field, `one of ${values.map((one) => `"${one}"`).join(', ')}`)
}

function count(request: Readonly<Record<string, unknown>>, field: string): number {
  const value = request[field]
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
  throw wrongField(request, field, 'a whole number from 1')
}

function text(request: Readonly<Record<string, unknown>>, field: string): string {
  const value = request[field]
  if (typeof value === 'string' && value !== '') return value
  throw wrongField(request, field, 'a text that is not empty')
}

function list(request: Readonly<Record<string, unknown>>, field: string): readonly unknown[] {
  const value = request[field]
  if (Array.isArray(value) && value.length > 0) return value
  throw wrongField(request, field, 'a list that is not empty')
}

function wrongField(request: Readonly<Record<string, unknown>>, field: string, wanted: string): MillraceError {
  const given = field in request ? `and is ${JSON.stringify(request[field])}` : 'and is missing'
  return invalid(`${field} of the command "${String(request.command)}" must be ${wanted}, ${given}`)
}

function invalid(what: string, todo = `Give { "command": ${COMMANDS.map((name) => `"${name}"`).join(' | ')}, … }.`): MillraceError {
  return new MillraceError('OPTION_INVALID', { what, where: 'request to the control function', todo })
}
