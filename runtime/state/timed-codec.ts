import type { StateKind } from '../core/index.js'
import type { InternalKey } from './keys.js'
import type { StateCodec } from './state-codec.js'
import type { StateEntry } from './state-table.js'
import type { TimedValue, TimeToLive } from './time-to-live.js'

const TIMED = 'ttl:'

export function isTimed(serdeId: string): boolean {
  return serdeId.startsWith(TIMED)
}

/** The serde of the values themselves. */
export function untimedSerdeId(serdeId: string): string {
  return isTimed(serdeId) ? serdeId.slice(TIMED.length) : serdeId
}

/** Splits a row's value into times and plain value, and joins them again. */
interface Shape {
  times(value: unknown): unknown
  plain(value: unknown): unknown
  join(plain: unknown, timeOf: (index: number) => number): unknown
  /** The same value when nothing of it has expired, undefined when all has. */
  live(value: unknown, expired: (timed: TimedValue<unknown>) => boolean): unknown
}

const SINGLE: Shape = {
  times: (value) => [(value as TimedValue<unknown>).at],
  plain: (value) => (value as TimedValue<unknown>).value,
  join: (value, timeOf) => ({ value, at: timeOf(0) }),
  live: (value, expired) => (expired(value as TimedValue<unknown>) ? undefined : value),
}

const LIST: Shape = {
  times: (list) => (list as TimedValue<unknown>[]).map(({ at }) => at),
  plain: (list) => (list as TimedValue<unknown>[]).map(({ value }) => value),
  join: (list, timeOf) => (list as unknown[]).map((value, i) => ({ value, at: timeOf(i) })),
  live: (list, expired) => {
    const kept = (list as TimedValue<unknown>[]).filter((timed) => !expired(timed))
    return kept.length === 0 ? undefined : kept.length === (list as unknown[]).length ? list : kept
  },
}

type TimedMap = Map<InternalKey, TimedValue<unknown>>

const MAP: Shape = {
  times: (map) => [...(map as TimedMap).values()].map(({ at }) => at),
  plain: (map) => new Map([...(map as TimedMap)].map(([key, { value }]) => [key, value])),
  join: (map, timeOf) => new Map([...(map as Map<InternalKey, unknown>)].map(([key, value], i) => [key, { value, at: timeOf(i) }])),
  live: (map, expired) => {
    const kept = [...(map as TimedMap)].filter(([, timed]) => !expired(timed))
    return kept.length === 0 ? undefined : kept.length === (map as TimedMap).size ? map : new Map(kept)
  },
}

function shapeOf(kind: StateKind): Shape {
  return kind === 'list' ? LIST : kind === 'map' ? MAP : SINGLE
}

/** Values with their times: `[times, plain]`. What was written without times counts as written when it is read back. */
export function timedCodec(inner: StateCodec<unknown>, kind: StateKind, ttl: TimeToLive): StateCodec<unknown> {
  const shape = shapeOf(kind)
  const timed = (read: (data: unknown) => unknown) => (data: unknown) => {
    const [times, plain] = data as [number[], unknown]
    return shape.join(read(plain), (i) => times[i])
  }
  return {
    kind: inner.kind,
    serdeId: TIMED + inner.serdeId,
    toData: (value) => [shape.times(value), inner.toData(shape.plain(value))],
    fromData: timed((data) => inner.fromData(data)),
    readerOf: (serdeId) => {
      const read = innerReader(inner, untimedSerdeId(serdeId))
      if (read === undefined || isTimed(serdeId)) return read && timed(read)
      return (data) => shape.join(read(data), () => ttl.now())
    },
    ...(inner.mapKeys && { mapKeys: inner.mapKeys }),
    ...(ttl.background && { live: (value: unknown) => shape.live(value, (one) => ttl.expired(one)) }),
  }
}

/** The same codec, which also reads what was written with a time to live that the state no longer has. */
export function untimedCodec(inner: StateCodec<unknown>): StateCodec<unknown> {
  return {
    ...inner,
    readerOf: (serdeId) => {
      if (!isTimed(serdeId)) return inner.readerOf?.(serdeId)
      const read = innerReader(inner, untimedSerdeId(serdeId))
      return read && ((data) => read((data as [unknown, unknown])[1]))
    },
  }
}

function innerReader(inner: StateCodec<unknown>, serdeId: string): ((data: unknown) => unknown) | undefined {
  return serdeId === inner.serdeId ? (data) => inner.fromData(data) : inner.readerOf?.(serdeId)
}

/** The rows with what has not expired; others are left out. The table stays as it is. */
export function* liveRows<V>(rows: Iterable<StateEntry<V>>, codec: StateCodec<V>): Iterable<Pick<StateEntry<V>, 'key' | 'namespace' | 'value'>> {
  for (const { key, namespace, value } of rows) {
    const live = codec.live === undefined ? value : codec.live(value)
    if (live !== undefined) yield { key, namespace, value: live }
  }
}
