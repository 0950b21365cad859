const WRITE_UNIT = 1024
const READ_UNIT = 4096
const PUT_UNIT = 25 * 1024

/** DynamoDB: a write of an item of so many bytes. */
export function writeUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / WRITE_UNIT))
}

/** DynamoDB: a strongly consistent query whose items have so many bytes together; one that finds nothing costs one, too. */
export function readUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / READ_UNIT))
}

/** Kinesis: a record of so many bytes, its partition key included. */
export function putUnits(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / PUT_UNIT))
}

/** Attributes' names and values, as DynamoDB counts them: text in UTF-8, numbers half a byte a digit and one more. */
export function itemBytes({ log, sortKey, payload, number }: ItemShape): number {
  const numberBytes = number === undefined ? 0 : number.name.length + Math.ceil(String(number.value).length / 2) + 1
  return 'pk'.length + Buffer.byteLength(log) + 'sk'.length + sortKey.length + 'payload'.length + payload + numberBytes
}

export interface ItemShape {
  readonly log: string
  readonly sortKey: string
  /** Its bytes. */
  readonly payload: number
  readonly number: { readonly name: string; readonly value: number } | undefined
}

/** Lambda: CPU comes in proportion to memory, a whole one at this. */
const MB_OF_A_CPU = 1769
/** Assumed of each call of a service that the handler waits for, ms. */
export const CALL_MS = 5

/** What Lambda bills for an invocation, ms. `calls`: those that wait for one another. */
export function billedMs({ cpuMs, calls }: { readonly cpuMs: number; readonly calls: number }, memoryMb: number): number {
  return Math.max(1, Math.ceil((cpuMs * MB_OF_A_CPU) / Math.min(memoryMb, MB_OF_A_CPU) + CALL_MS * calls))
}

export function gbSeconds(ms: number, memoryMb: number): number {
  return (ms / 1_000) * (memoryMb / 1_024)
}
