import { type DecodedSegment, decodeSegment, unpack } from '../state/index.js'
import { type CommitRecord, corruptLog, decodeCommit, loadPart } from './commit-record.js'
import type { Recovered } from './live-stage.js'
import type { StagePorts } from './stage-ports.js'

/** Reads a subtask's log for a cold start: its head, the base the head names, and what was committed since. Throws LOG_CORRUPT, CHECKPOINT_CORRUPT. */
export async function recover(ports: Pick<StagePorts, 'log' | 'parts' | 'checkpoints'>, log: string): Promise<Recovered> {
  const newest = await ports.log.head(log)
  if (newest === undefined) return { version: 0, head: undefined, segments: new Map(), stash: [] }
  const items = await ports.log.read(log, decodeCommit(log, newest).base.version - 1)
  const commits = items.map((item) => ({ version: item.version, record: decodeCommit(log, item) }))
  // Others may have committed since the head was read, and moved the base.
  const head = commits.at(-1)
  if (head === undefined) throw corruptLog(log, newest.version, 'it is gone')
  const { base } = head.record
  const tail = commits.filter(({ version }) => version >= base.version)
  tail.forEach(({ version }, index) => {
    if (version !== base.version + index) throw corruptLog(log, base.version + index, 'it is missing')
  })
  return {
    version: head.version,
    head: head.record,
    segments: await readSegments(ports, log, base, tail),
    stash: await readStash(ports, log, tail),
  }
}

type Tail = readonly { readonly version: number; readonly record: CommitRecord }[]

async function readSegments(
  ports: Pick<StagePorts, 'parts' | 'checkpoints'>,
  log: string,
  base: CommitRecord['base'],
  tail: Tail,
): Promise<Map<string, DecodedSegment[]>> {
  const segments = new Map<string, DecodedSegment[]>()
  const add = (uid: string, bytes: Uint8Array, name: string) => segments.set(uid, [...(segments.get(uid) ?? []), decodeSegment(bytes, name)])
  for (const [uid, refs] of Object.entries(base.segments)) {
    for (const ref of refs) add(uid, await ports.checkpoints.readSegment(ref), ref.name)
  }
  for (const { version, record } of tail) {
    for (const [uid, part] of record.deltas) add(uid, await loadPart(ports.parts, log, version, part), `${log}, version ${version}`)
  }
  return segments
}

/** Frames that were consumed since are told by their seq. */
async function readStash(ports: Pick<StagePorts, 'parts'>, log: string, tail: Tail): Promise<Uint8Array[]> {
  const stash: Uint8Array[] = []
  for (const { version, record } of tail) {
    if (record.stash !== null) stash.push(...(unpack(await loadPart(ports.parts, log, version, record.stash)) as Uint8Array[]))
  }
  return stash
}
