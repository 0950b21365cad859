import { crc32 } from 'node:zlib'
import { hashText } from './chance.js'

/** What happened, as one hash over every event; the lines themselves are kept only on demand. */
export class Trace {
  readonly lines: string[] = []
  #high = 0x243f6a88
  #low = 0x13198a2e
  readonly #labels = new Map<string, number>()

  constructor(readonly keep: boolean) {}

  /** `what` is one of few texts; `detail` tells this event from others of the kind. */
  add(timeMs: number, what: string, detail: number, text?: () => string): void {
    const label = this.#labels.get(what) ?? hashText(what)
    this.#labels.set(what, label)
    this.#mix(timeMs % 0x7fffffff)
    this.#mix(label)
    this.#mix(detail)
    if (this.keep) this.lines.push(`${clockText(timeMs)} ${what}${text === undefined ? '' : ` ${text()}`}`)
  }

  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0')
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193) ^ (this.#low >>> 13)
    this.#low = Math.imul(this.#low ^ (value + 0x9e3779b9), 0x5bd1e995) ^ (this.#high >>> 15)
  }
}

export function hashBytes(bytes: Uint8Array): number {
  return crc32(bytes)
}

/** Virtual times begin at {@link START_MS}; a trace shows days, hours, minutes, seconds since. */
export const START_MS = 1_700_000_000_000

export function clockText(timeMs: number): string {
  const ms = timeMs - START_MS
  const part = (value: number, size: number): string => String(Math.floor(value)).padStart(size, '0')
  return `${part(ms / 86_400_000, 1)}d${part((ms / 3_600_000) % 24, 2)}:${part((ms / 60_000) % 60, 2)}:${part((ms / 1000) % 60, 2)}.${part(ms % 1000, 3)}`
}
