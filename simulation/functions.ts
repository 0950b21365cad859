import type { StageCall } from '../runtime/task/stage-subtask.js'
import { FunctionInstances } from '../runtime/testing/function-instances.js'
import { type Machine, Program } from './program.js'

/** What an instance keeps between invocations: a subtask for each that it has served. */
export interface Servant {
  invoke(call: StageCall): Promise<void>
}

interface Instance {
  readonly program: Program
  readonly servants: Map<string, Servant>
}

export interface FunctionOptions {
  readonly name: string
  readonly timeoutMs: number
  serve(program: Program, subtask: string): Servant
  /** What an invocation threw. */
  failed(error: unknown, program: Program): void
}

/** Ends an invocation for whoever waits for it; what it says does not matter. */
const FAILED = new Error('the invocation crashed or timed out')

/** A deployed function: instances that serve one invocation at a time, any subtask, and live until they crash or are thrown away. */
export class StageFunction {
  readonly #instances: FunctionInstances<Instance>
  #count = 0
  readonly #running = new Map<string, number>()
  readonly #lastServed = new Map<string, Instance>()

  constructor(
    readonly machine: Machine,
    readonly options: FunctionOptions,
  ) {
    const { chance, faults } = machine
    const other = faults.rates['other-instance'] ?? 0
    this.#instances = new FunctionInstances(
      () => ({ program: new Program(machine, `${options.name}.${++this.#count}`), servants: new Map() }),
      { random: () => chance.next() },
      { reuse: 1 - other / 4, maxIdle: 4, retire: other / 20 },
    )
  }

  isRunning(subtask: string): boolean {
    return (this.#running.get(subtask) ?? 0) > 0
  }

  /** Resolves or rejects when the invocation does, crashes or times out; one that timed out goes on. `gone` hears when nothing runs any more. */
  invoke(subtask: string, call: StageCall, gone: () => void): Promise<void> {
    const { faults, scheduler, trace } = this.machine
    if (faults.draw(['instances-lost']) !== undefined) this.#instances.retireIdle()
    if (call.kind === 'poke' && this.isRunning(subtask)) faults.happened('tick-races-control')
    this.#running.set(subtask, (this.#running.get(subtask) ?? 0) + 1)
    return new Promise((resolve, reject) => {
      const timer = scheduler.after(this.options.timeoutMs, () => reject(FAILED))
      const end = (): void => {
        timer.cancelled = true
        this.#running.set(subtask, (this.#running.get(subtask) ?? 0) - 1)
        gone()
      }
      this.#instances
        .run((instance) => this.#serve(instance, subtask, call), this.#preferred(subtask))
        .then(
          () => {
            end()
            resolve()
          },
          (error: unknown) => {
            end()
            trace.add(scheduler.now, 'failed', 0, () => `${subtask} ${String((error as Error)?.message ?? error)}`)
            reject(error)
          },
        )
    })
  }

  /** The one that served the subtask last, unless chance wants another. */
  #preferred(subtask: string): Instance | undefined {
    const { chance, faults } = this.machine
    const other = chance.next() < (faults.rates['other-instance'] ?? 0)
    return other && !faults.over && !faults.without.has('other-instance') ? undefined : this.#lastServed.get(subtask)
  }

  #serve(instance: Instance, subtask: string, call: StageCall): Promise<void> {
    const { program, servants } = instance
    const { faults, scheduler, trace, longestStallMs } = this.machine
    const last = this.#lastServed.get(subtask)
    if (last !== undefined && last !== instance) faults.happened('other-instance')
    this.#lastServed.set(subtask, instance)
    program.stallLeftMs = longestStallMs
    trace.add(scheduler.now, 'invoke', call.kind === 'batch' ? call.records.length : 0, () => `${program.name} ${subtask} ${describeCall(call)}`)
    const servant = servants.get(subtask) ?? this.options.serve(program, subtask)
    servants.set(subtask, servant)
    return new Promise((resolve, reject) => {
      program.onDeath = () => {
        this.#instances.crash(instance)
        reject(FAILED)
      }
      servant.invoke(call).then(
        () => {
          trace.add(scheduler.now, 'returned', 0, () => `${program.name} ${subtask}`)
          resolve()
        },
        (error: unknown) => {
          this.options.failed(error, program)
          reject(error)
        },
      )
    })
  }
}

function describeCall(call: StageCall): string {
  if (call.kind === 'poke') return 'poke'
  const { records, attempt } = call
  return `${records[0]?.position}..${records.at(-1)?.position} (${records.length})${attempt === undefined ? '' : ` attempt ${attempt}`}`
}
