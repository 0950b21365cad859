import { MillraceError } from '../../core/index.js'

/** A value as DynamoDB's protocol has it; structurally that of the SDK. */
export type AttributeValue =
  | { S: string }
  | { N: string }
  | { BOOL: boolean }
  | { NULL: true }
  | { B: Uint8Array }
  | { SS: string[] }
  | { NS: string[] }
  | { L: AttributeValue[] }
  | { M: Record<string, AttributeValue> }

/** The attributes of an item; those that are undefined are left out. Throws RECORD_UNSERIALISABLE with the path of what DynamoDB cannot hold. */
export function attributesOf(item: Readonly<Record<string, unknown>>, path = 'the item'): Record<string, AttributeValue> {
  const attributes: Record<string, AttributeValue> = {}
  for (const [name, value] of Object.entries(item)) if (value !== undefined) attributes[name] = attributeValue(value, `${path}.${name}`)
  return attributes
}

/** Bytes of an item, about: names and contents, without what DynamoDB adds for lists and maps. */
export function sizeOf(attributes: Readonly<Record<string, AttributeValue>>): number {
  let bytes = 0
  for (const [name, value] of Object.entries(attributes)) bytes += name.length + sizeOfValue(value)
  return bytes
}

function sizeOfValue(value: AttributeValue): number {
  if ('S' in value) return Buffer.byteLength(value.S)
  if ('N' in value) return value.N.length
  if ('B' in value) return value.B.length
  if ('SS' in value) return value.SS.reduce((bytes, text) => bytes + Buffer.byteLength(text), 0)
  if ('NS' in value) return value.NS.reduce((bytes, number) => bytes + number.length, 0)
  if ('L' in value) return value.L.reduce((bytes, element) => bytes + sizeOfValue(element), 0)
  return 'M' in value ? sizeOf(value.M) : 1
}

function attributeValue(value: unknown, path: string): AttributeValue {
  switch (typeof value) {
    case 'string':
      return { S: value }
    case 'number':
      if (!Number.isFinite(value)) throw unserialisable(path, String(value))
      return { N: String(value) }
    case 'bigint':
      return { N: String(value) }
    case 'boolean':
      return { BOOL: value }
    case 'object':
      return value === null ? { NULL: true } : objectValue(value, path)
    default:
      throw unserialisable(path, `a ${typeof value}`)
  }
}

function objectValue(value: object, path: string): AttributeValue {
  if (value instanceof Uint8Array) return { B: value }
  if (Array.isArray(value)) return { L: value.map((element, index) => attributeValue(element, `${path}[${index}]`)) }
  if (value instanceof Set) return setValue([...value], path)
  if (value instanceof Map) return { M: attributesOf(Object.fromEntries(value), path) }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) throw unserialisable(path, `a ${value.constructor?.name ?? 'class instance'}`)
  return { M: attributesOf(value as Record<string, unknown>, path) }
}

function setValue(values: readonly unknown[], path: string): AttributeValue {
  if (values.length > 0 && values.every((value) => typeof value === 'string')) return { SS: values as string[] }
  if (values.length > 0 && values.every((value) => Number.isFinite(value) || typeof value === 'bigint')) return { NS: values.map(String) }
  throw unserialisable(path, 'a set that is empty, or not of strings or numbers alone')
}

function unserialisable(path: string, what: string): MillraceError {
  return new MillraceError('RECORD_UNSERIALISABLE', {
    what: `DynamoDB cannot hold ${path}: it is ${what}`,
    where: 'dynamoDbSink',
    todo: 'Give strings, finite numbers, bigints, booleans, null, bytes, arrays, sets of strings or numbers, and plain objects of these.',
  })
}
