/** What flows through a generated job. */
export interface Item {
  /** Its own among all items of the job, over all streams. */
  readonly id: number
  readonly key: string
  readonly v: number
  /** Event time, ms. */
  readonly t: number
}

/** Event time of last words: behind the windows and timers of all items. */
export const LAST_TIME_MS = 1_000_000_000

/** Behind all items, and before the last words by more than any stream is out of order. */
export const NEARLY_LAST_TIME_MS = LAST_TIME_MS / 2

const LAST_WORD: Item = { id: -1, key: 'last', v: 0, t: LAST_TIME_MS }

export function isLastWord({ id }: Item): boolean {
  return id === LAST_WORD.id
}

export function encodeItem(item: Item): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(item))
}

export function decodeItem(data: Uint8Array): Item {
  return JSON.parse(new TextDecoder().decode(data)) as Item
}

export function lastWord(): Uint8Array {
  return encodeItem(LAST_WORD)
}

/** An item as a producer puts it. */
export interface Put {
  readonly stream: string
  readonly partitionKey: string
  readonly item: Item
}
