import type { PlacesAnswer } from '../functions/control-checkpoints.js'
import { DeadLetterBox, type KeptLetter, type ReplayedAs } from '../functions/dead-letter-box.js'
import { withPackages } from '../runtime/backends/aws/optional-package.js'
import { awsFailure } from './aws-failure.js'
import { DeployedJob } from './deployed-job.js'
import type { DeployedFlags } from './deployed-target.js'
import { printJson, printLines } from './print.js'
import { count, isoTime } from './progress.js'
import { s3Stores } from './s3-stores.js'
import { table } from './table.js'
import { wrongCommandLine } from './wrong-command-line.js'

export interface LettersFlags extends DeployedFlags {
  readonly limit?: number
  readonly json?: boolean
}

const LISTED = 100

/** `millrace dead-letters list`: records that a deployed job went on without, newest first. */
export async function deadLetterList(flags: LettersFlags): Promise<void> {
  const { box, where } = await open(flags)
  const { letters, more } = await box.list(flags.limit ?? LISTED)
  if (flags.json === true) printJson({ where, letters, more })
  else if (letters.length === 0) printLines([`no dead letters in ${where}`])
  else printLines([...table(letters.map(cells)), ...(more === 0 ? [] : [`… and ${count(more)} more (--limit shows more)`])])
}

function cells(letter: KeptLetter): string[] {
  const { id, uid, atMs, where, key, partitionKey, error } = letter
  const [first] = error.split('\n')
  return [id, isoTime(atMs), uid ?? '-', partitionKey ?? (key === null ? '-' : JSON.stringify(key)), where, first, replayText(letter)]
}

function replayText({ replay }: KeptLetter): string {
  if (replay === null) return ''
  return replay.done === null ? '(replay uncertain)' : `(replayed ${isoTime(replay.atMs)})`
}

/** `millrace dead-letters show`: all that is known of one. */
export async function deadLetterShow(id: string, flags: LettersFlags): Promise<void> {
  const { box } = await open(flags)
  const letter = await box.read(id)
  if (flags.json === true) printJson(letter)
  else printLines(letterLines(letter))
}

function letterLines(letter: KeptLetter): string[] {
  const { id, stage, subtask, uid, atMs, where, key, partitionKey, error, record, replay } = letter
  const rows = [
    ['when', isoTime(atMs)],
    ['stage', `${stage}, subtask ${subtask}`],
    ['operator', uid ?? '-'],
    partitionKey === null ? ['key', key === null ? '-' : JSON.stringify(key)] : ['partition key', partitionKey],
    ['where', where],
    ['record', partitionKey === null ? JSON.stringify(record) : bytesText(String(record))],
    ...(replay === null ? [] : [['replayed', replay.done === null ? `${isoTime(replay.atMs)}, uncertain` : replayedText(replay.done)]]),
  ]
  return [id, ...table(rows, '  '), ...error.split('\n').map((line) => `  ${line}`)]
}

/** Text if it is text, else base64. */
function bytesText(base64: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(base64, 'base64'))
  } catch {
    return `${base64} (base64)`
  }
}

function replayedText({ stream, shard, position }: ReplayedAs): string {
  return `record ${position} of ${shard} in ${stream}`
}

export interface ReplayFlags extends LettersFlags {
  readonly all?: boolean
  readonly again?: boolean
}

/** `millrace dead-letters replay`: puts records into their sources' streams again. `all`: those that were not replayed yet and can be. */
export async function deadLetterReplay(ids: readonly string[], flags: ReplayFlags): Promise<void> {
  if (ids.length === 0 && flags.all !== true) throw wrongCommandLine('Nothing says which letters are meant', 'Name their ids, or give --all.')
  if (ids.length > 0 && flags.all === true) throw wrongCommandLine('--all and ids exclude each other', 'Leave out one of them.')
  const { box, places } = await open(flags)
  const replayed: (ReplayedAs & { readonly id: string })[] = []
  for (const id of flags.all === true ? await replayable(box) : ids) {
    const { stage } = await box.read(id)
    const done = await box.replay(id, places.sourceStreams[stage], putRecord, flags.again)
    replayed.push({ id, ...done })
    if (flags.json !== true) printLines([`${id}  ${replayedText(done)}`])
  }
  if (flags.json === true) printJson({ replayed })
  else if (replayed.length === 0) printLines(['nothing to replay'])
}

async function replayable(box: DeadLetterBox): Promise<string[]> {
  const { letters } = await box.list(Number.POSITIVE_INFINITY)
  // In the order in which they failed.
  return letters
    .filter(({ partitionKey, replay }) => partitionKey !== null && replay === null)
    .map(({ id }) => id)
    .reverse()
}

async function putRecord(stream: string, partitionKey: string, data: Uint8Array) {
  const { putRecord: put } = await withPackages('Replaying a record', () => import('../runtime/backends/aws/put-record.js'))
  return awsFailure('PutRecord', `stream ${stream}`, 'kinesis:PutRecord', () => put(stream, partitionKey, data))
}

/**
 * Read and written with the credentials of whoever runs the command: the control function may neither read letters, which hold records, nor write
 * into the streams that its job reads.
 */
async function open(flags: LettersFlags): Promise<{ readonly box: DeadLetterBox; readonly where: string; readonly places: PlacesAnswer }> {
  const places = await (await DeployedJob.find(flags)).ask<PlacesAnswer>({ command: 'places' })
  const openStore = await s3Stores()
  const where = `s3://${places.bucket}/${places.deadLetters}${places.job}`
  return { box: new DeadLetterBox(openStore(where), Date.now), where, places }
}
