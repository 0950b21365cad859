import { ZlibCompression } from '../runtime/backends/node/index.js'
import { decodeFrame, type Frame } from '../runtime/exchange/frame.js'
import { unpack } from '../runtime/state/index.js'
import { type CommitRecord, decodeCommit, loadPart } from '../runtime/task/commit-record.js'
import { inputName } from '../runtime/task/input-channels.js'
import type { StagePorts } from '../runtime/task/stage-ports.js'

/** What the log of a subtask says from its base on. */
export interface SubtaskTail {
  readonly version: number
  readonly head: CommitRecord
  /** Processing time of the last commit that took a batch, epoch ms; null when that was before the base. */
  readonly lastBatchAtMs: number | null
  /** Frames that have come and wait: for one before them, or behind a barrier. */
  readonly waiting: readonly WaitingFrame[]
}

export interface WaitingFrame extends Pick<Frame, 'edge' | 'from' | 'seq' | 'epoch'> {
  readonly bytes: number
}

const compression = new ZlibCompression()

/** Reads a subtask's log without changing anything; undefined for one that has none. Throws LOG_CORRUPT, FRAME_CORRUPT. */
export async function readTail(ports: Pick<StagePorts, 'log' | 'parts'>, log: string): Promise<SubtaskTail | undefined> {
  const { item } = await ports.log.head(log)
  if (item === undefined) return undefined
  const { items } = await ports.log.read(log, decodeCommit(log, item).base.version - 1)
  const read = items.map((one) => ({ version: one.version, record: decodeCommit(log, one) }))
  // Others may have committed since the head was read, and what their base replaced may have expired.
  const { version, record: head } = read.at(-1) ?? { version: item.version, record: decodeCommit(log, item) }
  const tail = read.filter((commit) => commit.version >= head.base.version)
  const batches = tail.filter(({ record }) => record.kind === 'BATCH')
  return { version, head, lastBatchAtMs: batches.at(-1)?.record.lastNow ?? null, waiting: await waitingOf(ports, log, head, tail) }
}

async function waitingOf(
  ports: Pick<StagePorts, 'parts'>,
  log: string,
  { channels }: CommitRecord,
  tail: readonly { readonly version: number; readonly record: CommitRecord }[],
): Promise<WaitingFrame[]> {
  const waiting = new Map<string, WaitingFrame>()
  for (const { version, record } of tail) {
    if (record.stash === null) continue
    for (const bytes of unpack(await loadPart(ports.parts, log, version, record.stash)) as Uint8Array[]) {
      const { edge, from, seq, epoch } = decodeFrame(bytes, `${log}, version ${version}`, compression)
      const name = inputName(edge, from)
      if (seq >= (channels[name]?.next ?? 1)) waiting.set(`${name} ${seq}`, { edge, from, seq, epoch, bytes: bytes.length })
    }
  }
  return [...waiting.values()]
}
