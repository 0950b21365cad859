import { MillraceError, type Partitioning } from '../core/index.js'
import { keyGroupOf, subtaskOfKeyGroup, toInternalKey } from '../state/index.js'
import { type KeyedOperatorPlace, keyError } from './key-error.js'

/** The receiving subtask of a record; BROADCAST for all of them. */
export type Partitioner = (value: unknown) => number

export const BROADCAST = -1

export interface PartitionPlace {
  readonly subtask: number
  readonly parallelism: number
  readonly receivers: number
  readonly receiverMaxParallelism: number
  /** The operator that receives, for errors. */
  readonly operator: KeyedOperatorPlace
  /** Uniform in [0, 1). */
  random(): number
}

export function createPartitioner(partitioning: Partitioning, place: PartitionPlace): Partitioner {
  const { receivers } = place
  if (partitioning.kind === 'broadcast') return () => BROADCAST
  if (receivers === 1 && partitioning.kind !== 'custom') return () => 0
  switch (partitioning.kind) {
    case 'hash':
      return hashPartitioner(partitioning.keySelector as (value: unknown) => unknown, place)
    case 'forward':
      return () => place.subtask
    case 'global':
      return () => 0
    case 'shuffle':
      return () => Math.floor(place.random() * receivers)
    case 'rescale':
      return roundRobin(rescaleTargets(place), 0)
    case 'rebalance':
      return roundRobin(
        Array.from({ length: receivers }, (_, i) => i),
        place.subtask,
      )
    case 'custom':
      return customPartitioner(partitioning, place)
  }
}

function hashPartitioner(keySelector: (value: unknown) => unknown, place: PartitionPlace): Partitioner {
  const max = place.receiverMaxParallelism
  const subtaskOf = Uint16Array.from({ length: max }, (_, keyGroup) => subtaskOfKeyGroup(keyGroup, max, place.receivers))
  return (value) => {
    try {
      return subtaskOf[keyGroupOf(toInternalKey(keySelector(value)), max)]
    } catch (thrown) {
      throw keyError(thrown, place.operator)
    }
  }
}

function roundRobin(targets: readonly number[], start: number): Partitioner {
  let next = start % targets.length
  return () => {
    const target = targets[next]
    next = next + 1 === targets.length ? 0 : next + 1
    return target
  }
}

/** With more receivers than senders each sender has a group of its own; with fewer, several senders share one. */
export function rescaleTargets(place: Pick<PartitionPlace, 'subtask' | 'parallelism' | 'receivers'>): number[] {
  const { subtask, parallelism, receivers } = place
  if (receivers <= parallelism) return [Math.floor((subtask * receivers) / parallelism)]
  const first = Math.ceil((subtask * receivers) / parallelism)
  const end = Math.ceil(((subtask + 1) * receivers) / parallelism)
  return Array.from({ length: end - first }, (_, i) => first + i)
}

function customPartitioner(partitioning: Partitioning, { receivers, operator: { uid, name } }: PartitionPlace): Partitioner {
  const { keySelector, partition } = partitioning as Required<Partitioning>
  const where = `partitionCustom before operator "${name}" (uid ${uid})`
  return (value) => {
    let target: number
    try {
      target = partition(keySelector(value), receivers)
    } catch (thrown) {
      throw new MillraceError('USER_FUNCTION', { what: 'the custom partitioner threw', where, todo: 'Handle this record in it.', uid, cause: thrown })
    }
    if (Number.isInteger(target) && target >= 0 && target < receivers) return target
    throw new MillraceError('PLAN_INVALID', {
      what: `the custom partitioner returned ${String(target)} for ${receivers} subtasks`,
      where,
      todo: `Return a whole number from 0 to ${receivers - 1}.`,
      uid,
    })
  }
}
