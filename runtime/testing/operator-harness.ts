import { type DataStream, defineJob, type Job } from '../api/index.js'
import { type OutputTag, WatermarkStrategy } from '../core/index.js'
import { JobDriver, type JobDriverOptions, type JobInput } from './job-driver.js'
import type { JobSnapshot } from './job-snapshot.js'
import type { OutputItem } from './output-item.js'
import { testSource } from './test-source.js'

/** Options of {@link OperatorHarness}. */
export interface OperatorHarnessOptions extends Omit<JobDriverOptions, 'onOutput'> {
  /** Side outputs of the last operator to note, for {@link OperatorHarness.sideOutput}. */
  readonly sideOutputs?: readonly OutputTag<unknown>[]
}

/**
 * Runs operators by hand, by themselves: the piece of a job between its inputs and its result, as the API describes it, with scripted
 * elements, watermarks, statuses and processing time. Everything is the engine's own: state, timers, watermark valves, snapshots.
 *
 * @example
 * const build = (clicks: DataStream<Click>) => clicks.keyBy(click => click.user).process(new Sessions())
 * const harness = await OperatorHarness.open(build)
 * harness.input.element({ user: 'ann' }, 1_000)
 * harness.input.watermark(61_000)
 * harness.values() // ['ann: 1']
 *
 * const restored = await OperatorHarness.open(build, { restored: await harness.snapshot() })
 *
 * @example
 * const harness = await OperatorHarness.openTwoInput((orders: DataStream<Order>, rates: DataStream<Rate>) =>
 *   orders.connect(rates).process(new Convert()),
 * )
 * harness.input2.element({ currency: 'EUR', rate: 1.1 }, 500)
 * harness.input.element({ currency: 'EUR', amount: 10 }, 1_000)
 */
export class OperatorHarness<In, Out, In2 = never> {
  readonly #driver: JobDriver

  private constructor(driver: JobDriver) {
    this.#driver = driver
  }

  /** `build` is called as a job's function is: more than once. */
  static async open<In, Out>(
    build: (input: DataStream<In>) => DataStream<Out>,
    options: OperatorHarnessOptions = {},
  ): Promise<OperatorHarness<In, Out>> {
    return new OperatorHarness<In, Out>(await start((source) => build(source('input')), options))
  }

  static async openTwoInput<In, In2, Out>(
    build: (input: DataStream<In>, input2: DataStream<In2>) => DataStream<Out>,
    options: OperatorHarnessOptions = {},
  ): Promise<OperatorHarness<In, Out, In2>> {
    return new OperatorHarness<In, Out, In2>(await start((source) => build(source('input'), source('input2')), options))
  }

  get input(): JobInput<In> {
    return this.#driver.input('input')
  }

  get input2(): JobInput<In2> {
    return this.#driver.input('input2')
  }

  /** Everything that came out so far: records with their timestamps, watermarks, statuses. */
  output(): readonly OutputItem<Out>[] {
    return this.#driver.output('output')
  }

  /** The values of the records that came out so far. */
  values(): Out[] {
    return this.#driver.values('output')
  }

  /** Everything that came out of a side output named in the options. */
  sideOutput<X>(tag: OutputTag<X>): readonly OutputItem<X>[] {
    return this.#driver.output(`side-${tag.id}`)
  }

  /** Epoch ms; timers that are due fire. */
  advanceProcessingTime(to: number): void {
    this.#driver.advanceProcessingTime(to)
  }

  /** Waits for asynchronous work whose result is there. */
  settle(): Promise<void> {
    return this.#driver.settle()
  }

  snapshot(): Promise<JobSnapshot> {
    return this.#driver.snapshot()
  }

  close(): Promise<void> {
    return this.#driver.close()
  }
}

type SourceNamed = <T>(uid: string) => DataStream<T>

function start<Out>(build: (source: SourceNamed) => DataStream<Out>, { sideOutputs = [], ...options }: OperatorHarnessOptions): Promise<JobDriver> {
  return JobDriver.start(harnessJob(build, sideOutputs), { chaining: false, ...options })
}

function harnessJob<Out>(build: (source: SourceNamed) => DataStream<Out>, sideOutputs: readonly OutputTag<unknown>[]): Job {
  return defineJob('harness', (env) => {
    const source: SourceNamed = <T>(uid: string) =>
      env.fromSource(testSource<T>(), WatermarkStrategy.noWatermarks<T>(), uid).uid(uid).setParallelism(1)
    const result = build(source)
    for (const tag of sideOutputs) result.getSideOutput(tag).collect(tag.id).uid(`side-${tag.id}`)
    result.collect('output').uid('output')
  })
}
