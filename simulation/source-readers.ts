import { manifestName } from '../runtime/checkpoint/checkpoint-names.js'
import type { ManifestRef } from '../runtime/checkpoint/job-record.js'
import { decodeManifest } from '../runtime/checkpoint/manifest-codec.js'
import type { SourcePosition } from '../runtime/checkpoint/stage-ack.js'
import type { Job, Revision } from './job.js'
import { Mapping } from './mapping.js'

/** What reads the sources' streams: for the attempt that its alias names. */
export class SourceReaders {
  readonly mappings: Mapping[] = []

  /** New mappings that begin at a time: the oldest among what the manifest has not read, less a margin. */
  constructor(
    readonly job: Job,
    public revision: Revision,
    public attempt: number,
    from: ManifestRef | null,
  ) {
    const { world } = job
    const folder = from?.root === undefined ? job.checkpoints : (job.origin as { readonly job: Job }).job.checkpoints
    const name = from === null ? undefined : manifestName(from.checkpointId)
    const manifest = name === undefined ? undefined : decodeManifest(folder.lookBack(name) as Uint8Array, name)
    for (const { name } of world.simulated.streams) {
      const { stream } = world.source(name)
      const positions = (manifest?.operators.find(({ uid }) => uid === name)?.subtasks ?? []).flatMap(
        ({ operatorState }) => operatorState as readonly (SourcePosition & { readonly ended: boolean })[],
      )
      // A split that the manifest does not know has nothing older than what was last read of the split that it continues.
      const known = new Set(positions.map(({ splitId }) => splitId))
      let oldest = manifest === undefined ? 0 : world.now
      for (const { splitId, position, ended, successors } of positions) {
        if (ended && successors.every((successor) => known.has(successor.splitId))) continue
        const read = position === null ? undefined : stream.records(splitId).find((record) => record.position === BigInt(position))
        oldest = Math.min(oldest, read?.arrivalMs ?? 0)
      }
      const margin = world.chance.pick([0, 1_000, 60_000])
      const mapping = new Mapping(world.machine, {
        stream,
        start: manifest === undefined ? 'TRIM_HORIZON' : { atTimestampMs: oldest - margin },
        invoke: (splitId, records) => job.invoke(this.revision, name, splitId, { kind: 'batch', records, attempt: this.attempt }),
        mostRecords: world.chance.pick([2, 5, 30]),
        windowMs: world.chance.pick([0, 500, 2_000]),
        bisect: world.chance.happens(0.3),
      })
      this.mappings.push(mapping)
    }
  }

  /** A mapping that is to go may go on for a while. */
  disable(): void {
    const { faults, machine } = this.job.world
    for (const mapping of this.mappings) {
      if (faults.draw(['mapping-lingers']) === undefined) mapping.disable()
      else mapping.disableAfter(machine.chance.below(30_000))
    }
  }

  /** They go on for another attempt, or another revision. */
  repoint(revision: Revision, attempt: number): void {
    this.revision = revision
    this.attempt = attempt
    for (const mapping of this.mappings) mapping.enable()
  }
}
