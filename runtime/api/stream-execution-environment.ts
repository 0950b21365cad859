import { collectionSource, sequenceSource } from '../connectors/collection/index.js'
import { type JobParameters, MillraceError, type ResourceBindings, type Source, type SourceSplit, WatermarkStrategy } from '../core/index.js'
import type { StreamGraph, StreamNode } from '../plan/index.js'
import { DEFAULT_MAX_PARALLELISM } from '../state/index.js'
import { DataStream } from './data-stream.js'
import { CommandLineParameters } from './job-parameters.js'
import type { KeySelector } from './key-selector.js'
import { KeyedStream } from './keyed-stream.js'

/** What a job's environment starts with where the job itself says nothing; `parameters` are the job's own (`env.parameters`). */
export interface EnvironmentDefaults {
  readonly parallelism?: number | undefined
  readonly maxParallelism?: number | undefined
  readonly parameters?: readonly string[] | Readonly<Record<string, string>> | undefined
  /** Physical names of streams, tables and buckets by the logical names that sources and sinks give. Default: the names themselves. */
  readonly bindings?: ResourceBindings | undefined
}

/** Where a job describes its graph (Flink's StreamExecutionEnvironment). Nothing runs while it is described. */
export class StreamExecutionEnvironment {
  readonly parameters: JobParameters
  readonly #nodes: StreamNode[] = []
  readonly #defaults: EnvironmentDefaults
  #parallelism: number | undefined
  #maxParallelism: number | undefined
  #chaining = true

  constructor(
    readonly jobName: string,
    defaults: EnvironmentDefaults = {},
  ) {
    this.#defaults = defaults
    this.parameters = CommandLineParameters.from(defaults.parameters)
  }

  /** Reads a source (Flink's fromSource). `name` shows in plans and metrics. */
  fromSource<T, Split extends SourceSplit, E>(source: Source<T, Split, E>, strategy: WatermarkStrategy<T>, name?: string): DataStream<T> {
    return new DataStream<T>(this, [
      {
        from: this.addNode({
          kind: source.name,
          name: name ?? source.name,
          inputs: [],
          source: { source, strategy },
          createOperator: undefined,
        }),
        sideTag: undefined,
        partitioning: undefined,
      },
    ])
  }

  /** The items in order, then the end. For tests and small inputs. */
  fromCollection<T>(items: readonly T[]): DataStream<T> {
    return this.fromSource(collectionSource(items), WatermarkStrategy.noWatermarks<T>(), 'collection').setParallelism(1)
  }

  fromElements<T>(...items: readonly T[]): DataStream<T> {
    return this.fromCollection(items)
  }

  /** The whole numbers from `from` to `to`, both included, over all subtasks of the source. */
  fromSequence(from: number, to: number): DataStream<number> {
    return this.fromSource(sequenceSource(from, to), WatermarkStrategy.noWatermarks<number>(), 'sequence')
  }

  /** Default parallelism of this job's operators; an operator's own setParallelism is nearer and wins. */
  setParallelism(parallelism: number): this {
    this.#parallelism = parallelism
    return this
  }

  setMaxParallelism(maxParallelism: number): this {
    this.#maxParallelism = maxParallelism
    return this
  }

  /** Every operator becomes a stage of its own; for finding out what an operator costs. */
  disableOperatorChaining(): this {
    this.#chaining = false
    return this
  }

  /** @internal */
  addNode(
    node: Pick<StreamNode, 'kind' | 'name' | 'inputs' | 'source' | 'createOperator'> &
      Partial<Pick<StreamNode, 'keySelector' | 'keySelector2' | 'isSink' | 'nonParallel' | 'chaining'>>,
  ): StreamNode {
    const added: StreamNode = {
      keySelector: undefined,
      keySelector2: undefined,
      isSink: false,
      nonParallel: false,
      chaining: 'always',
      ...node,
      ordinal: this.#nodes.length + 1,
      uid: undefined,
      parallelism: undefined,
      maxParallelism: undefined,
      slotSharingGroup: undefined,
    }
    this.#nodes.push(added)
    return added
  }

  /** @internal DataStream.keyBy comes here, because a KeyedStream is a DataStream and modules cannot need each other at load. */
  keyed<T, K>(stream: DataStream<T>, selector: KeySelector<T, K>): KeyedStream<T, K> {
    return new KeyedStream<T, K>(stream, selector)
  }

  /** @internal */
  streamGraph(): StreamGraph {
    if (this.#nodes.length === 0) {
      throw new MillraceError('JOB_EMPTY', {
        what: `job "${this.jobName}" describes nothing`,
        todo: 'Begin with env.fromSource(...) and end with sinkTo(), print() or collect().',
      })
    }
    return {
      jobName: this.jobName,
      nodes: this.#nodes,
      defaultParallelism: this.#parallelism ?? this.#defaults.parallelism ?? 1,
      maxParallelism: this.#maxParallelism ?? this.#defaults.maxParallelism ?? DEFAULT_MAX_PARALLELISM,
      chainingEnabled: this.#chaining,
    }
  }
}
