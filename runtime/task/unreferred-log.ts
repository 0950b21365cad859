import type { Unreferred } from '../checkpoint/clean-up-decisions.js'
import { pack, unpack } from '../state/index.js'
import { loadPart, type Part, partPlace, storePart } from './commit-record.js'
import { cleanUpLogName } from './stage-names.js'
import type { StagePorts } from './stage-ports.js'
import { DEFAULT_STAGE_SETTINGS } from './stage-settings.js'

/** What clean-up has seen unreferred, kept as one control item. When it is lost, blobs only wait longer. */
export interface KnownUnreferred {
  readonly serial: number
  readonly since: Unreferred
}

export async function readUnreferred({ log, parts }: Pick<StagePorts, 'log' | 'parts'>, job: string): Promise<KnownUnreferred> {
  const name = cleanUpLogName(job)
  const { control } = await log.head(name)
  if (control === undefined) return { serial: 0, since: new Map() }
  const { serial, payload } = control
  const [part] = unpack(payload) as [Part]
  // Parts expire; who has not cleaned up for so long begins anew.
  if (!(part instanceof Uint8Array) && (await parts.get(part.name)) === undefined) return { serial, since: new Map() }
  return { serial, since: new Map(unpack(await loadPart(parts, name, serial, part)) as [string, number][]) }
}

/** Of several at once the last serial stays. */
export async function writeUnreferred(
  ports: Pick<StagePorts, 'log' | 'parts' | 'nonce'>,
  job: string,
  serial: number,
  since: Unreferred,
): Promise<void> {
  const name = cleanUpLogName(job)
  const part = await storePart(partPlace(ports, name, serial, DEFAULT_STAGE_SETTINGS.inlineBytes), pack([...since]))
  await ports.log.putControl(name, { serial, payload: pack([part]) })
}
