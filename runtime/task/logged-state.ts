import type { BaseState } from './base-state.js'

/** State of a subtask as its log has it: the base, and the changes of keyed state that were committed since. */
export class LoggedState {
  #tailBytes = 0
  readonly #tail = new Map<string, Uint8Array[]>()

  constructor(readonly base: BaseState) {}

  /** Delta segments since the base, by operator, in the order of their commits. */
  get tail(): ReadonlyMap<string, readonly Uint8Array[]> {
    return this.#tail
  }

  /** All of them together. */
  get tailBytes(): number {
    return this.#tailBytes
  }

  /** The same with a base that says the same in other segments. */
  withBase(base: BaseState): LoggedState {
    const logged = new LoggedState(base)
    for (const [uid, deltas] of this.#tail) logged.append(deltas.map((bytes) => [uid, bytes] as const))
    return logged
  }

  append(deltas: Iterable<readonly [uid: string, bytes: Uint8Array]>): void {
    for (const [uid, bytes] of deltas) {
      this.#tailBytes += bytes.length
      const known = this.#tail.get(uid)
      if (known === undefined) this.#tail.set(uid, [bytes])
      else known.push(bytes)
    }
  }
}
