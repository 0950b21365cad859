/** What was used of each service. */
export const COUNTERS = [
  'lambdaRequests',
  'dynamoPuts',
  'dynamoWriteUnits',
  'dynamoWrittenBytes',
  'dynamoQueries',
  'dynamoReadUnits',
  's3Puts',
  's3PartBytes',
  's3CheckpointBytes',
  's3Gets',
  's3Lists',
  'kinesisPutRecords',
  'kinesisRecords',
  'kinesisBytes',
  'kinesisPutUnits',
  'sqsRequests',
  'machineRequests',
  'machineGbSeconds',
  'scheduledRules',
  'logBytes',
] as const

export type Counter = (typeof COUNTERS)[number]
export type Usage = Record<Counter, number>

export function noUsage(): Usage {
  return Object.fromEntries(COUNTERS.map((counter) => [counter, 0])) as Usage
}

/** An invocation of a function. */
export interface Invocation {
  readonly function: string
  /** Of the process, all threads: garbage collection and compilation included. */
  readonly cpuMs: number
  /** Calls that the handler waited for one after the other; those under way at the same time count once. */
  readonly calls: number
}

/** Counts what is used, by function, and the CPU time that the handlers take. */
export class Meter {
  readonly byFunction = new Map<string, Usage>()
  invocations: Invocation[] = []
  #running = 'nobody'
  #calls = 0
  #underWay = 0

  add(counter: Counter, amount = 1): void {
    this.of(this.#running)[counter] += amount
  }

  of(name: string): Usage {
    let usage = this.byFunction.get(name)
    if (usage === undefined) {
      usage = noUsage()
      this.byFunction.set(name, usage)
    }
    return usage
  }

  get total(): Usage {
    return this.usageOf(() => true)
  }

  /** Of the functions that are chosen together. */
  usageOf(chosen: (name: string) => boolean): Usage {
    const sum = noUsage()
    for (const [name, usage] of this.byFunction) if (chosen(name)) for (const counter of COUNTERS) sum[counter] += usage[counter]
    return sum
  }

  /** Forgets everything so far. */
  reset(): void {
    this.byFunction.clear()
    this.invocations = []
  }

  /** A call of a service, which the handler waits for. */
  async call<T>(work: () => Promise<T>): Promise<T> {
    if (this.#underWay++ === 0) this.#calls++
    try {
      return await work()
    } finally {
      this.#underWay--
    }
  }

  /** An invocation of the function of that name; one at a time. */
  async invoke<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.#running = name
    this.#calls = 0
    this.add('lambdaRequests')
    const before = process.cpuUsage()
    try {
      return await work()
    } finally {
      const { user, system } = process.cpuUsage(before)
      this.invocations.push({ function: name, cpuMs: (user + system) / 1_000, calls: this.#calls })
      this.#running = 'nobody'
    }
  }
}
