import { defineJob, kinesisSource, type Sink, TumblingEventTimeWindows, WatermarkStrategy } from '../runtime/index.js'

/** Bytes of an event's JSON. */
export const EVENT_BYTES = 200

const WINDOW_MS = 5_000
const OUT_OF_ORDER_MS = 1_000

/** What crosses to the keyed stage. */
export interface Payment {
  readonly user: string
  readonly amount: number
  readonly at: number
}

export interface UserTotal {
  readonly user: string
  readonly windowEnd: number
  readonly total: number
}

/** `projected`: the source stage keeps the three fields that the window needs. `whole`: events cross as they came, padding and all. */
export type KeyedSumVariant = 'projected' | 'whole'

const utf8 = new TextDecoder()

function parseWhole(data: Uint8Array): Payment {
  return JSON.parse(utf8.decode(data)) as Payment
}

function parseProjected(data: Uint8Array): Payment {
  const { user, amount, at } = parseWhole(data)
  return { user, amount, at }
}

/** Takes results and does nothing with them, each commit's in one transaction: what a sink costs is not the engine's. */
function countingSink(taken: (results: number) => void): Sink<UserTotal, never> {
  return {
    name: 'totals-sink',
    createWriter: () => {
      throw new Error('a stage writes through the transactor')
    },
    createTransactor: () => ({ apply: async (_marker, records) => taken(records.length), fence: async () => {} }),
  }
}

/** Two stages: events are parsed and divided by user; amounts are summed in windows of 5 s of event time. `taken` is told of results. */
export function keyedSumJob(variant: KeyedSumVariant, taken: (results: number) => void) {
  return defineJob('keyed-sum', (env) => {
    env
      .fromSource(
        kinesisSource({ stream: 'payments', deserialize: variant === 'whole' ? parseWhole : parseProjected }),
        WatermarkStrategy.forBoundedOutOfOrderness<Payment>(OUT_OF_ORDER_MS).withTimestampAssigner(({ at }) => at),
      )
      .uid('payments')
      .keyBy(({ user }) => user)
      .window(TumblingEventTimeWindows.of(WINDOW_MS))
      .aggregate(
        { createAccumulator: () => 0, add: (payment: Payment, sum: number) => sum + payment.amount, getResult: (sum: number) => sum },
        {
          process: (user: string, { window }, [total], out: { collect(result: UserTotal): void }) =>
            out.collect({ user, windowEnd: window.end, total }),
        },
      )
      .uid('totals')
      .sinkTo(countingSink(taken))
      .uid('sink')
  })
}

/** Events with keys drawn uniformly, the same for the same seed: 200 bytes of JSON each. */
export class PaymentEvents {
  readonly #keys: number
  #state: number

  constructor(keys: number, seed = 1) {
    this.#keys = keys
    this.#state = seed >>> 0
  }

  /** Uniform in [0, 1): mulberry32. */
  #draw(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  /** The next event, of up to `disorderMs` before `latest` (epoch ms), as text of ASCII. */
  next(latest: number, disorderMs = 0): string {
    const at = Math.floor(latest - this.#draw() * disorderMs)
    const user = `user-${String(Math.floor(this.#draw() * this.#keys)).padStart(6, '0')}`
    const amount = Math.floor(this.#draw() * 100_000) / 100
    const device = Math.floor(this.#draw() * 2 ** 32).toString(16)
    const head = `{"user":"${user}","amount":${amount},"at":${at},"currency":"EUR","device":"${device}","note":"`
    return `${head}${'x'.repeat(EVENT_BYTES - head.length - 2)}"}`
  }
}
