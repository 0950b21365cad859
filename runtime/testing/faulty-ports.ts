import { MillraceError } from '../core/index.js'
import type { BlobStore, Channel, ChannelEntry, CommitLog, Pokes, SourceStreams } from '../ports/index.js'

/** A call that is about to be made of a port. */
export interface PortCall {
  /** `log`, `blobs`, `channel`, `pokes` or `streams`, or the name that was given to the wrapper. */
  readonly port: string
  /** Name of the method. */
  readonly operation: string
  /** The log, blob, channel, stage/subtask or stream it is about. */
  readonly key: string
  /** How many entries a channel is to take; 1 for every other call. */
  readonly size: number
}

/** What goes wrong with a call; undefined: nothing. */
export type Fault =
  /** It throws and nothing is done. `error`: instead of AWS_CALL. */
  | { readonly kind: 'throw-before'; readonly error?: unknown }
  /** It throws though all is done. */
  | { readonly kind: 'throw-after'; readonly error?: unknown }
  /** The service refuses because of too many calls: AWS_CALL, nothing is done. */
  | { readonly kind: 'throttle' }
  /** It takes longer, before or after the effect; then `fault` happens, if any. */
  | { readonly kind: 'delay'; readonly ms: number; readonly at: 'before' | 'after'; readonly fault?: Fault }
  /** It throws now and is done later all the same. For a poke: it throws nothing, and comes later. */
  | { readonly kind: 'late'; readonly ms: number }
  /** `get` of a blob gives undefined. */
  | { readonly kind: 'missing' }
  /** By place in the entries of a channel; those behind the end of the list are put. */
  | { readonly kind: 'entries'; readonly faults: readonly EntryFault[] }
  /** A poke is not made, and nobody says so. */
  | { readonly kind: 'lose' }
  /** A poke comes twice, a channel's entries are put twice. */
  | { readonly kind: 'double' }

export type EntryFault =
  | 'put'
  /** Given back, not put. */
  | 'refuse'
  /** Given back though it was put. */
  | 'refuse-and-put'
  /** Put twice in a row. */
  | 'double'
  /** Given back, and put later all the same. */
  | { readonly lateMs: number }

export interface FaultyPortsOptions {
  /** Is asked once for each call, in the order of the calls. Faults are as deterministic as it is. */
  readonly decide: (call: PortCall) => Fault | undefined
  readonly sleep: (ms: number) => Promise<void>
  /** Runs `effect` after `ms`. What it does is that of a call that nobody waits for: its failures are to be swallowed. */
  readonly later: (ms: number, effect: () => Promise<unknown>) => void
}

/** Wraps ports so that their calls fail as a callback decides. A fault that makes no sense for a call is an error. */
export class FaultyPorts {
  readonly #decide: FaultyPortsOptions['decide']
  readonly #sleep: FaultyPortsOptions['sleep']
  readonly #later: FaultyPortsOptions['later']

  constructor({ decide, sleep, later }: FaultyPortsOptions) {
    this.#decide = decide
    this.#sleep = sleep
    this.#later = later
  }

  log(inner: CommitLog, port = 'log'): CommitLog {
    return {
      read: (log, after) => this.#call({ port, operation: 'read', key: log, size: 1 }, () => inner.read(log, after)),
      head: (log) => this.#call({ port, operation: 'head', key: log, size: 1 }, () => inner.head(log)),
      append: (log, item) => this.#call({ port, operation: 'append', key: log, size: 1 }, () => inner.append(log, item)),
      putControl: (log, control) => this.#call({ port, operation: 'putControl', key: log, size: 1 }, () => inner.putControl(log, control)),
    }
  }

  blobs(inner: BlobStore, port = 'blobs'): BlobStore {
    const missing = async () => undefined
    return {
      put: (name, bytes) => this.#call({ port, operation: 'put', key: name, size: 1 }, () => inner.put(name, bytes)),
      get: (name) => this.#call({ port, operation: 'get', key: name, size: 1 }, () => inner.get(name), { missing }),
      getRange: (name, range) => this.#call({ port, operation: 'getRange', key: name, size: 1 }, () => inner.getRange(name, range), { missing }),
      list: (prefix) => this.#call({ port, operation: 'list', key: prefix, size: 1 }, () => inner.list(prefix)),
      delete: (name) => this.#call({ port, operation: 'delete', key: name, size: 1 }, () => inner.delete(name)),
    }
  }

  /** `key` names the channel: the receiving stage. */
  channel(inner: Channel, key: string, port = 'channel'): Channel {
    return {
      send: (entries) => {
        const send = () => inner.send(entries)
        const double = async () => {
          const failed = await send()
          await inner.send(entries.filter((entry) => !failed.includes(entry)))
          return failed
        }
        const some = (faults: readonly EntryFault[]) => this.#sendSome(inner, entries, faults)
        return this.#call({ port, operation: 'send', key, size: entries.length }, send, { double, entries: some })
      },
    }
  }

  pokes(inner: Pokes, port = 'pokes'): Pokes {
    return {
      poke: (target, atMs) => {
        const poke = () => inner.poke(target, atMs)
        return this.#call({ port, operation: 'poke', key: `${target.stage}/${target.subtask}`, size: 1 }, poke, {
          lose: async () => {},
          double: async () => {
            await poke()
            await poke()
          },
          late: async (ms) => this.#later(ms, poke),
        })
      },
    }
  }

  streams(inner: SourceStreams, port = 'streams'): SourceStreams {
    return {
      splits: (stream) => this.#call({ port, operation: 'splits', key: stream, size: 1 }, () => inner.splits(stream)),
      drained: (stream, splitId, position) =>
        this.#call({ port, operation: 'drained', key: `${stream}/${splitId}`, size: 1 }, () => inner.drained(stream, splitId, position)),
    }
  }

  #call<R>(call: PortCall, effect: () => Promise<R>, special: Special<R> = {}): Promise<R> {
    const fault = this.#decide(call)
    return fault === undefined ? effect() : this.#faulty(call, fault, effect, special)
  }

  async #faulty<R>(call: PortCall, fault: Fault, effect: () => Promise<R>, special: Special<R>): Promise<R> {
    switch (fault.kind) {
      case 'throw-before':
        throw fault.error ?? failure(call, 'a scripted fault')
      case 'throttle':
        throw failure(call, 'ThrottlingException')
      case 'throw-after':
        await effect()
        throw fault.error ?? failure(call, 'a scripted fault after it was done')
      case 'delay':
        return this.#delayed(call, fault, effect, special)
      case 'late':
        if (special.late !== undefined) return special.late(fault.ms)
        this.#later(fault.ms, effect)
        throw failure(call, 'TimeoutError')
      case 'entries':
        if (special.entries !== undefined) return special.entries(fault.faults)
        break
      default: {
        const action = special[fault.kind]
        if (action !== undefined) return action()
      }
    }
    throw new TypeError(`the fault "${fault.kind}" does not fit ${call.port}.${call.operation}`)
  }

  async #delayed<R>(
    call: PortCall,
    { ms, at, fault }: Extract<Fault, { readonly kind: 'delay' }>,
    effect: () => Promise<R>,
    special: Special<R>,
  ): Promise<R> {
    const run = () => (fault === undefined ? effect() : this.#faulty(call, fault, effect, special))
    if (at === 'before') {
      await this.#sleep(ms)
      return run()
    }
    // A failure takes as long.
    try {
      return await run()
    } finally {
      await this.#sleep(ms)
    }
  }

  async #sendSome(inner: Channel, entries: readonly ChannelEntry[], faults: readonly EntryFault[]): Promise<readonly ChannelEntry[]> {
    const put: ChannelEntry[] = []
    const returned = new Set<ChannelEntry>()
    entries.forEach((entry, index) => {
      const fault = faults[index] ?? 'put'
      if (typeof fault === 'object') this.#later(fault.lateMs, () => inner.send([entry]))
      else if (fault !== 'refuse') put.push(entry)
      if (fault === 'double') put.push(entry)
      if (fault !== 'put' && fault !== 'double') returned.add(entry)
    })
    for (const entry of await inner.send(put)) returned.add(entry)
    return entries.filter((entry) => returned.has(entry))
  }
}

/** The faults that only some calls have. */
interface Special<R> {
  readonly missing?: () => Promise<R>
  readonly lose?: () => Promise<R>
  readonly double?: () => Promise<R>
  readonly late?: (ms: number) => Promise<R>
  readonly entries?: (faults: readonly EntryFault[]) => Promise<R>
}

function failure({ port, operation, key }: PortCall, why: string): MillraceError {
  return new MillraceError('AWS_CALL', { what: `${operation} failed with ${why}`, where: `${port} ${key}`, todo: 'The batch is delivered again.' })
}
