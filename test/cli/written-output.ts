import { type MockInstance, vi } from 'vitest'

/** What commands write to stdout and stderr, in place of writing it. */
export class WrittenOutput {
  stdout = ''
  stderr = ''
  readonly #spies: readonly MockInstance[]

  constructor() {
    const take = (name: 'stdout' | 'stderr') =>
      vi.spyOn(process[name], 'write').mockImplementation((text) => {
        this[name] += String(text)
        return true
      })
    this.#spies = [take('stdout'), take('stderr')]
  }

  /** What was written to stdout since the last call. */
  said(): string {
    const { stdout } = this
    this.stdout = ''
    return stdout
  }

  json<T = Record<string, unknown>>(): T {
    return JSON.parse(this.said()) as T
  }

  end(): void {
    for (const spy of this.#spies) spy.mockRestore()
  }
}
