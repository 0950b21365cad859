import { JobDriver, type JobDriverOptions, type JobInput, type OutputItem } from '../runtime/testing/index.js'
import type { Ev } from './element.js'
import type { PendingCalls } from './functions/async-function.js'
import { jsonNumber, jsonValue, numberOf } from './json-number.js'
import type { CaseResult, OracleCase, ResultItem, Step } from './oracle-case.js'
import { caseJob, MAIN_SINK, outputOfSink } from './pipeline.js'

export interface RunOptions {
  readonly parallelism?: number
  /** Takes a snapshot after each step and goes on in new operators. */
  readonly restoreEveryStep?: boolean
  /** Elements wait in batches; asked after each element whether its batch ends there. */
  readonly endsBatch?: () => boolean
}

/** Runs a case on the engine's own operators, unchained, so that each has its watermark valve, as in the oracle. */
export function runCase(oracleCase: OracleCase, options: RunOptions = {}): Promise<CaseResult> {
  return new CaseRun(oracleCase, options).run()
}

class CaseRun {
  readonly #outputs: Record<string, ResultItem[]> = { main: [] }
  readonly #calls: PendingCalls = new Map()
  /** What the inputs have said that no snapshot holds: watermarks, statuses, ends. */
  readonly #said: Step[] = []
  /** What the outside has answered; it gives the same answer when it is asked again. */
  readonly #answers = new Map<string, Step>()
  #repeating = false
  #driver!: JobDriver
  #step = -1

  constructor(
    readonly oracleCase: OracleCase,
    readonly options: RunOptions,
  ) {
    for (const { sideOutputs = [] } of oracleCase.pipeline) for (const name of sideOutputs) this.#outputs[name] ??= []
  }

  async run(): Promise<CaseResult> {
    this.#driver = await this.#start({})
    const { steps } = this.oracleCase
    for (this.#step = 0; this.#step < steps.length; this.#step++) {
      try {
        await this.#take(steps[this.#step], steps[this.#step + 1])
        if (this.options.restoreEveryStep === true) await this.#restoreAndRepeat()
      } catch (thrown) {
        return { error: { step: this.#step, message: thrown instanceof Error ? thrown.message : String(thrown) }, outputs: this.#outputs }
      }
    }
    await this.#driver.close()
    return { outputs: this.#outputs }
  }

  #start(more: JobDriverOptions): Promise<JobDriver> {
    const { parallelism, endsBatch } = this.options
    return JobDriver.start(caseJob(this.oracleCase, this.#calls), {
      chaining: false,
      batching: endsBatch !== undefined,
      ...(parallelism !== undefined && { parallelism }),
      ...more,
      onOutput: (uid, item) => this.#note(uid, item),
    })
  }

  #note(uid: string, item: OutputItem): void {
    if (this.#repeating) {
      if (item.kind === 'record') throw new Error(`a record came again after a restore: ${JSON.stringify(item)}`)
      return
    }
    // Watermarks and statuses are compared on the main output only.
    if (item.kind === 'record' || uid === MAIN_SINK) this.#outputs[outputOfSink(uid)].push(this.#resultOf(item))
  }

  #resultOf(item: OutputItem): ResultItem {
    const step = this.#step
    switch (item.kind) {
      case 'record':
        return { step, ts: item.timestamp === null ? null : jsonNumber(item.timestamp), value: jsonValue(item.value) }
      case 'watermark':
        return { step, watermark: jsonNumber(item.watermark) }
      case 'status':
        return { step, status: item.idle ? 'idle' : 'active' }
    }
  }

  #input(step: Step): JobInput<Ev> {
    return this.#driver.input<Ev>(step.in ?? this.oracleCase.inputs[0])
  }

  async #take(step: Step, next: Step | undefined): Promise<void> {
    if (step.el !== undefined) {
      const { k = '', v, t = '' } = step.el
      this.#input(step).element({ k, v: numberOf(v), t }, step.ts === undefined || step.ts === null ? null : numberOf(step.ts))
      if (this.options.endsBatch !== undefined && !this.#endsBatch(step, next)) return
    } else if (step.procTime !== undefined) this.#driver.advanceProcessingTime(numberOf(step.procTime))
    else if (step.complete !== undefined) this.#complete(step.complete, step)
    else if (step.restore === true) await this.#restore()
    else await this.#say(step)
    this.#driver.flush()
    await this.#driver.settle()
    // Results of promises may wait in batches too.
    this.#driver.flush()
  }

  #endsBatch(step: Step, next: Step | undefined): boolean {
    return next?.el === undefined || next.in !== step.in || this.options.endsBatch?.() === true
  }

  async #say(step: Step): Promise<void> {
    if (!this.#repeating) this.#said.push(step)
    if (step.wm !== undefined) this.#input(step).watermark(numberOf(step.wm))
    else if (step.idle !== undefined) this.#input(step).idle(step.idle)
    else if (step.end === true) await this.#input(step).end()
    else throw new Error(`unknown step: ${JSON.stringify(step)}`)
  }

  #complete(label: string, { values = [], fail = false }: Step): void {
    const call = this.#calls.get(label)
    if (call === undefined) throw new Error(`no call is pending for the element ${label}`)
    this.#calls.delete(label)
    this.#answers.set(label, { values, fail })
    if (fail) call.completeExceptionally(new Error('failed'))
    else call.complete(values)
  }

  async #restore(): Promise<void> {
    const { processingTime } = this.#driver
    const restored = await this.#driver.snapshot()
    await this.#driver.close()
    this.#driver = await this.#start({ restored, processingTime })
  }

  /** The snapshot is a base and a delta: the base is taken right after a restore. */
  async #restoreAndRepeat(): Promise<void> {
    await this.#restore()
    this.#repeating = true
    for (const [label, answer] of this.#answers) if (this.#calls.has(label)) this.#complete(label, answer)
    for (const step of this.#said) await this.#say(step)
    await this.#driver.settle()
    this.#repeating = false
    await this.#driver.snapshot()
  }
}
