import { Packr } from 'msgpackr'

/** The structural serialisation (MessagePack with record definitions) of state, snapshots and exchanged batches. */
export function createPacker(): Packr {
  return new Packr({ useRecords: true, moreTypes: true, useBigIntExtension: true })
}

const shared = createPacker()

export function pack(value: unknown): Uint8Array {
  return shared.pack(value)
}

export function unpack(bytes: Uint8Array): unknown {
  return shared.unpack(bytes)
}

/**
 * Why `value` would not come back as it is, or undefined when it would: functions, symbols, promises and instances of
 * the job's own classes need a Serde. `path` names the place inside the value.
 */
export function structuralFault(value: unknown, path = 'value', depth = 0): string | undefined {
  switch (typeof value) {
    case 'function':
    case 'symbol':
      return `${path} is a ${typeof value}`
    case 'object':
      return value === null ? undefined : objectFault(value, path, depth)
    default:
      return undefined
  }
}

function objectFault(value: object, path: string, depth: number): string | undefined {
  if (depth > 64) return `${path} is nested more than 64 deep (or refers to itself)`
  if (Array.isArray(value)) return firstFault(value.entries(), path, depth)
  if (value instanceof Map) return firstFault(value.entries(), path, depth) ?? firstFault([...value.keys()].entries(), `${path}.key`, depth)
  if (value instanceof Set) return firstFault([...value].entries(), path, depth)
  if (value instanceof Date || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return undefined
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return `${path} is an instance of ${prototype.constructor?.name || 'a class'}`
  for (const field in value) {
    const fieldValue = (value as Record<string, unknown>)[field]
    const type = typeof fieldValue
    if (type === 'string' || type === 'number' || type === 'boolean') continue
    const fault = structuralFault(fieldValue, `${path}.${field}`, depth + 1)
    if (fault !== undefined) return fault
  }
  return undefined
}

function firstFault(entries: Iterable<readonly [unknown, unknown]>, path: string, depth: number): string | undefined {
  for (const [at, element] of entries) {
    const type = typeof element
    if (type === 'string' || type === 'number' || type === 'boolean') continue
    const fault = structuralFault(element, `${path}[${String(at)}]`, depth + 1)
    if (fault !== undefined) return fault
  }
  return undefined
}
