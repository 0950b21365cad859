import type { StageEvent } from '../runtime/task/stage-ports.js'

/** What is too common to be said of an invocation by itself. */
const ORDINARY: ReadonlySet<StageEvent> = new Set<StageEvent>(['cold-start', 'warm-catch-up', 'commit', 'part-in-blob', 'outbox-known-sent'])

/** Counts what happens in an invocation, and says it in one line of the log when it was not the plain case. */
export class StageMetrics {
  #counts: Partial<Record<StageEvent, number>> = {}

  constructor(
    readonly labels: Readonly<Record<string, string>>,
    readonly write: (line: string) => void = console.log,
  ) {}

  count(event: StageEvent, times = 1): void {
    this.#counts[event] = (this.#counts[event] ?? 0) + times
  }

  flush(): void {
    const counts = this.#counts
    this.#counts = {}
    if (Object.keys(counts).every((event) => ORDINARY.has(event as StageEvent))) return
    this.write(JSON.stringify({ ...this.labels, events: counts }))
  }
}
