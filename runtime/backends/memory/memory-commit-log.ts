import type { CommitLog, ControlItem, LogHead, LogItem, LogRead, Outcome } from '../../ports/index.js'

interface Log {
  /** By version, ascending; not always contiguous: what has expired is gone, and an acknowledgement's version is who it is from. */
  items: LogItem[]
  control: ControlItem | undefined
  /** When the first of them expires, epoch ms. */
  expiresAtMs: number
}

const NOTHING: readonly LogItem[] = []

/** Commit logs in memory. Payloads are copied on the way in; readers must leave them as they are. An item is gone as soon as it may be. */
export class MemoryCommitLog implements CommitLog {
  readonly #logs = new Map<string, Log>()
  readonly #now: () => number

  /** `now`: epoch ms, for expiry; without it nothing expires. */
  constructor(options: { readonly now?: () => number } = {}) {
    this.#now = options.now ?? (() => Number.NEGATIVE_INFINITY)
  }

  /** Names of the logs that were ever written to, in the order of their first write. */
  get names(): readonly string[] {
    return [...this.#logs.keys()]
  }

  async read(log: string, after: number): Promise<LogRead> {
    const found = this.#log(log)
    if (found === undefined) return { items: NOTHING, control: undefined }
    const from = firstBehind(found.items, after)
    return { items: from === found.items.length ? NOTHING : found.items.slice(from), control: found.control }
  }

  async head(log: string): Promise<LogHead> {
    const found = this.#log(log)
    return { item: found?.items.at(-1), control: found?.control }
  }

  async append(log: string, { version, payload, expiresAtMs }: LogItem): Promise<Outcome> {
    const found = this.#log(log) ?? this.#create(log)
    const { items } = found
    const at = firstBehind(items, version)
    if (at > 0 && items[at - 1].version === version) return 'lost'
    const item: LogItem = { version, payload: payload.slice(), ...(expiresAtMs === undefined ? {} : { expiresAtMs }) }
    if (at === items.length) items.push(item)
    else items.splice(at, 0, item)
    if (expiresAtMs !== undefined && expiresAtMs < found.expiresAtMs) found.expiresAtMs = expiresAtMs
    return 'won'
  }

  async putControl(log: string, { serial, payload }: ControlItem): Promise<Outcome> {
    const found = this.#log(log) ?? this.#create(log)
    if (found.control !== undefined && found.control.serial >= serial) return 'lost'
    found.control = { serial, payload: payload.slice() }
    return 'won'
  }

  #create(log: string): Log {
    const created: Log = { items: [], control: undefined, expiresAtMs: Number.POSITIVE_INFINITY }
    this.#logs.set(log, created)
    return created
  }

  /** The log without what has expired. */
  #log(name: string): Log | undefined {
    const log = this.#logs.get(name)
    const now = this.#now()
    if (log !== undefined && log.expiresAtMs <= now) expire(log, now)
    return log
  }
}

function expire(log: Log, now: number): void {
  const kept = log.items.filter(({ expiresAtMs }) => expiresAtMs === undefined || expiresAtMs > now)
  log.items = kept
  log.expiresAtMs = kept.reduce((least, { expiresAtMs = Number.POSITIVE_INFINITY }) => Math.min(least, expiresAtMs), Number.POSITIVE_INFINITY)
}

/** Index of the first item whose version is greater than `after`; mostly it is close to the end. */
function firstBehind(items: readonly LogItem[], after: number): number {
  if (items.length === 0 || items[items.length - 1].version <= after) return items.length
  let low = 0
  let high = items.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (items[middle].version > after) high = middle
    else low = middle + 1
  }
  return low
}
