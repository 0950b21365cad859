import { Accumulators, type JobParameters, type RuntimeContext } from '../core/index.js'

/** Where the function under test believes it runs. */
export interface HarnessPlace {
  readonly name: string
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly attemptNumber?: number
  readonly parameters?: Readonly<Record<string, string>>
}

/** A RuntimeContext for a source or sink that runs alone. It has no keyed state: neither sources nor sinks have. */
export function harnessRuntimeContext(place: HarnessPlace): RuntimeContext {
  const noState = (): never => {
    throw new Error('a source or sink has no keyed state')
  }
  const counters = new Map<string, { count: number; inc(n?: number): void }>()
  const accumulators = new Accumulators()
  return {
    addAccumulator: (name, accumulator) => accumulators.addAccumulator(name, accumulator),
    getAccumulator: (name) => accumulators.getAccumulator(name),
    getCounter: (name) => accumulators.getCounter(name),
    jobName: 'harness',
    operatorName: place.name,
    uid: place.name,
    subtaskIndex: place.subtaskIndex,
    parallelism: place.parallelism,
    maxParallelism: 128,
    attemptNumber: place.attemptNumber ?? 0,
    parameters: parametersOf(place.parameters ?? {}),
    metrics: {
      counter(name) {
        let counter = counters.get(name)
        if (counter === undefined) {
          counter = {
            count: 0,
            inc(n = 1) {
              this.count += n
            },
          }
          counters.set(name, counter)
        }
        return counter
      },
      gauge() {},
    },
    physicalName: (name) => name,
    getState: noState,
    getListState: noState,
    getMapState: noState,
    getReducingState: noState,
    getAggregatingState: noState,
  }
}

function parametersOf(values: Readonly<Record<string, string>>): JobParameters {
  const required = (name: string): string => {
    if (values[name] === undefined) throw new Error(`parameter ${name} is missing`)
    return values[name]
  }
  return {
    has: (name) => values[name] !== undefined,
    get: ((name: string, fallback?: string) => values[name] ?? fallback) as JobParameters['get'],
    getRequired: required,
    getNumber: ((name: string, fallback?: number) => (values[name] === undefined ? fallback : Number(values[name]))) as JobParameters['getNumber'],
    getBoolean: (name, fallback = false) => (values[name] === undefined ? fallback : values[name] === 'true'),
    toRecord: () => values,
  }
}
